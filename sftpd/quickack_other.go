//go:build !linux

package sftpd

import "net"

// acknowledge is for systems that can be told to.
func acknowledge(net.Conn) {}
