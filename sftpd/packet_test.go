package sftpd_test

import (
	"bytes"
	"testing"

	"github.com/pkg/sftp"
	gossh "golang.org/x/crypto/ssh"
)

// The server joins the two pieces in which the library writes a long packet. A packet of whatever length must go out all the
// same: each answer here has to come before the next question is asked.
func TestPacketsOfEveryLengthGoOut(t *testing.T) {
	for _, cipher := range []string{"aes128-gcm@openssh.com", "aes256-ctr"} {
		h := newHouse(t, nil)
		config := h.config("eva", h.eva)
		config.Ciphers = []string{cipher}
		conn := must(gossh.Dial("tcp", h.addr, config))
		defer conn.Close()
		c := must(sftp.NewClient(conn))
		defer c.Close()
		content := make([]byte, 10_000)
		for i := range content {
			content[i] = byte(i * i / 7)
		}
		f := must(c.Create("user/lengths"))
		must(f.Write(content))
		for _, middle := range []int{4096, 8192} {
			for n := middle - 80; n < middle+20; n++ {
				got := make([]byte, n)
				must(f.ReadAt(got, 0))
				if !bytes.Equal(got, content[:n]) {
					t.Fatalf("%s: %d bytes came as others", cipher, n)
				}
			}
		}
		ok(t, f.Close())
	}
}
