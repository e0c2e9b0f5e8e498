package sftpd

import (
	gossh "golang.org/x/crypto/ssh"
)

// quietChannel is a session channel whose requests for an agent, X11 or environment are refused before the library
// would grant them.
type quietChannel struct{ gossh.NewChannel }

var refused = map[string]bool{"auth-agent-req@openssh.com": true, "x11-req": true, "env": true}

// Accept takes the channel and filters its requests.
func (q quietChannel) Accept() (gossh.Channel, <-chan *gossh.Request, error) {
	ch, in, err := q.NewChannel.Accept()
	if err != nil {
		return nil, nil, err
	}
	out := make(chan *gossh.Request)
	go func() {
		defer close(out)
		for r := range in {
			if refused[r.Type] {
				if r.WantReply {
					_ = r.Reply(false, nil)
				}
				continue
			}
			out <- r
		}
	}()
	return ch, out, nil
}
