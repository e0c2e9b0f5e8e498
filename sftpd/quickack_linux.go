package sftpd

import (
	"net"

	"golang.org/x/sys/unix"
)

// acknowledge makes the system acknowledge the next bytes of a client at once, until the server writes again. Stock OpenSSH
// sends two short packets in a row in the middle of the key exchange, and the second waits for word of the first
// (RFC 896); the first has no answer that would carry it, so the system would keep it back for 40 ms (tcp(7), TCP_QUICKACK).
func acknowledge(c net.Conn) {
	t, ok := c.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1) })
}
