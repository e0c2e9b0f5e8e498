package portal

import (
	"encoding/base64"
	"strings"
)

// randomart draws a fingerprint as OpenSSH does (`ssh-keygen -lv`): a walk over a board of 17 by 9, two bits a step.
// The method is in "The drunken bishop", Loss, Limmer and von Gernler, 2009.
func randomart(fingerprint, keyType string) string {
	sum, err := base64.RawStdEncoding.DecodeString(strings.TrimPrefix(fingerprint, "SHA256:"))
	if err != nil {
		return ""
	}
	const wide, high, marks = 17, 9, " .o+=*BOX@%&#/^SE"
	var board [high][wide]int
	x, y := wide/2, high/2
	for _, b := range sum {
		for range 4 {
			x = min(max(x+int(b&1)*2-1, 0), wide-1)
			y = min(max(y+int(b>>1&1)*2-1, 0), high-1)
			if board[y][x] < len(marks)-3 {
				board[y][x]++
			}
			b >>= 2
		}
	}
	board[high/2][wide/2] = len(marks) - 2
	board[y][x] = len(marks) - 1
	var out strings.Builder
	frame := func(text string) {
		left := (wide - len(text)) / 2
		out.WriteString("+" + strings.Repeat("-", left) + text + strings.Repeat("-", wide-left-len(text)) + "+")
	}
	frame("[" + artName(keyType) + "]")
	out.WriteByte('\n')
	for _, row := range board {
		out.WriteByte('|')
		for _, n := range row {
			out.WriteByte(marks[n])
		}
		out.WriteString("|\n")
	}
	frame("[SHA256]")
	return out.String()
}

// artName is the key's kind as OpenSSH writes it. The bits of an RSA key are not in its fingerprint, and are left out.
func artName(keyType string) string {
	switch {
	case strings.HasPrefix(keyType, "sk-ssh-ed25519"):
		return "ED25519-SK 256"
	case strings.HasPrefix(keyType, "sk-ecdsa"):
		return "ECDSA-SK 256"
	case strings.HasPrefix(keyType, "ecdsa-sha2-nistp"):
		return "ECDSA " + strings.TrimPrefix(keyType, "ecdsa-sha2-nistp")
	case keyType == "ssh-rsa":
		return "RSA"
	}
	return "ED25519 256"
}
