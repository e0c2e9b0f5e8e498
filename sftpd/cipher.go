package sftpd

import (
	"bytes"
	"encoding/binary"
	"net"
	"slices"
	"strings"
	"time"
)

// version is how the server greets (RFC 4253 section 4.2).
const version = "aida"

var gcm = []string{"aes128-gcm@openssh.com", "aes256-gcm@openssh.com"}

// waitForOffer is how long a client may take to offer its algorithms before ours are named without knowing them. All but
// very old libssh clients offer theirs at once.
const waitForOffer = 300 * time.Millisecond

// maxOffer bounds a client's greeting and offer; RFC 4253 section 6.1 asks for 35,000 bytes to a packet.
const maxOffer = 36 * 1024

// ciphers names those that suit a connection. A client's order decides in SSH, and stock OpenSSH before version 10 puts
// AES-CTR, which costs twice the time, before AES-GCM. So the client's offer is read before ours is made, and who knows GCM is
// offered nothing else; who does not gets CTR. It greets the client, and keeps what it has read for the library.
func (c *conn) ciphers() []string {
	all := append(slices.Clone(gcm), "aes256-ctr")
	greeting := "SSH-2.0-" + version + "\r\n"
	if _, err := c.Conn.Write([]byte(greeting)); err != nil {
		return all
	}
	c.greeted = len(greeting)
	_ = c.Conn.SetReadDeadline(time.Now().Add(min(waitForOffer, c.s.o.LoginTimeout)))
	defer func() { _ = c.Conn.SetReadDeadline(c.loginEnds) }()
	buf := make([]byte, 4096)
	for len(c.early) < maxOffer {
		n, err := c.Conn.Read(buf)
		c.early = append(c.early, buf[:n]...)
		toServer, toClient, whole := offer(c.early)
		switch {
		case !whole && err != nil:
			return all
		case !whole:
			continue
		case knowsGCM(toServer) && knowsGCM(toClient):
			return gcm
		}
		return all
	}
	return all
}

func knowsGCM(names []string) bool {
	return slices.ContainsFunc(gcm, func(g string) bool { return slices.Contains(names, g) })
}

// offer reads the ciphers that a client offers for both directions from its greeting and first packet (RFC 4253 section 7.1).
// What cannot be one counts as whole and as no offer: the library will refuse it.
func offer(b []byte) (toServer, toClient []string, whole bool) {
	end := bytes.IndexByte(b, '\n')
	if end < 0 {
		return nil, nil, len(b) > 255
	}
	packet := b[end+1:]
	if len(packet) < 6 {
		return nil, nil, false
	}
	size, padding := binary.BigEndian.Uint32(packet), int(packet[4])
	if size > maxOffer || int(size) < padding+18 || packet[5] != 20 {
		return nil, nil, true
	}
	if len(packet) < 4+int(size) {
		return nil, nil, false
	}
	rest := packet[6+16 : 4+int(size)-padding]
	var lists [4][]string
	for i := range lists { // key exchanges, host keys, ciphers to the server, ciphers to the client
		var names string
		var ok bool
		if names, rest, ok = takeString(rest); !ok {
			return nil, nil, true
		}
		lists[i] = strings.Split(names, ",")
	}
	return lists[2], lists[3], true
}

// Read gives what was read early first. Until somebody has signed in, which is where short packets follow one another, each
// packet is acknowledged at once.
func (c *conn) Read(p []byte) (int, error) {
	if len(c.early) > 0 {
		n := copy(p, c.early)
		if c.early = c.early[n:]; len(c.early) == 0 {
			c.early = nil
		}
		return n, nil
	}
	if c.identity.Load() == nil {
		acknowledge(c.Conn)
	}
	return c.Conn.Read(p)
}

// libraryBuffer is the size of the buffer in which the SSH library makes a packet; what is longer comes in two pieces.
const libraryBuffer = 4096

// Write leaves out the library's greeting when there was one already. The first piece of a long packet waits for the second,
// so that both go out with one call of the system: no packet ends with it, as the length of each, with its tag or MAC, is
// 4 more than a multiple of 8 once there is a cipher.
func (c *conn) Write(p []byte) (int, error) {
	if len(c.piece) > 0 {
		both := net.Buffers{c.piece, p}
		n, err := both.WriteTo(c.Conn)
		n -= int64(len(c.piece))
		c.piece = c.piece[:0]
		return int(max(n, 0)), err
	}
	if len(p) == libraryBuffer && c.identity.Load() != nil {
		c.piece = append(c.piece, p...)
		return len(p), nil
	}
	if c.greeted > 0 {
		n := min(c.greeted, len(p))
		c.greeted -= n
		if n == len(p) {
			return n, nil
		}
		m, err := c.Conn.Write(p[n:])
		return n + m, err
	}
	return c.Conn.Write(p)
}
