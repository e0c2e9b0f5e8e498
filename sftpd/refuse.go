package sftpd

import (
	gossh "golang.org/x/crypto/ssh"
)

// sessionChannel is a session channel whose requests for an agent, X11 or environment are refused before the library
// would grant them, and whose bytes count as movement of the connection.
type sessionChannel struct {
	gossh.NewChannel
	c *conn
}

var refused = map[string]bool{"auth-agent-req@openssh.com": true, "x11-req": true, "env": true}

// Accept takes the channel and filters its requests.
func (n sessionChannel) Accept() (gossh.Channel, <-chan *gossh.Request, error) {
	ch, in, err := n.NewChannel.Accept()
	if err != nil {
		return nil, nil, err
	}
	n.c.move()
	out := make(chan *gossh.Request)
	go func() { // ends with the channel; the session takes all of out
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
	return movingChannel{ch, n.c, newLead(ch, n.c.Conn)}, out, nil
}

// movingChannel notes when bytes go through it, and lets not too many go ahead of a client that is near.
type movingChannel struct {
	gossh.Channel
	c    *conn
	lead *lead
}

func (m movingChannel) Read(p []byte) (int, error) {
	n, err := m.Channel.Read(p)
	m.c.move()
	return n, err
}

func (m movingChannel) Write(p []byte) (int, error) {
	m.lead.wait()
	n, err := m.Channel.Write(p)
	m.c.move()
	return n, err
}
