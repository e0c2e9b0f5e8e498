package sftpd

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// acknowledge makes the system acknowledge the next bytes of a client at once, until the server writes again. Stock OpenSSH
// sends two short packets in a row in the middle of the key exchange, and the second waits for word of the first
// (RFC 896); the first has no answer that would carry it, so the system would keep it back for 40 ms (tcp(7), TCP_QUICKACK).
func acknowledge(c net.Conn) {
	socket(c, func(fd int) { _ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1) })
}

// roundTrip is the shortest time in which bytes of a connection were acknowledged.
func roundTrip(c net.Conn) (d time.Duration, known bool) {
	socket(c, func(fd int) {
		if info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO); err == nil && info.Min_rtt > 0 {
			d, known = time.Duration(info.Min_rtt)*time.Microsecond, true
		}
	})
	return d, known
}

func socket(c net.Conn, use func(fd int)) {
	t, ok := c.(*net.TCPConn)
	if !ok {
		return
	}
	if raw, err := t.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { use(int(fd)) })
	}
}
