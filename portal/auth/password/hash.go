package password

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"golang.org/x/crypto/argon2"
)

// cost is what one hash takes: argon2id (RFC 9106) with its second recommended choice, 64 MiB.
type cost struct {
	memory  uint32 // KiB
	time    uint32
	threads uint8
}

var usual = cost{memory: 64 << 10, time: 3, threads: 4}

const (
	saltBytes = 16
	hashBytes = 32
)

// hasher bounds how many hashes are made at once, and with it the memory that attempts to sign in can take.
type hasher struct{ slots chan struct{} }

func newHasher() *hasher { return &hasher{make(chan struct{}, 2)} }

func (h *hasher) derive(ctx context.Context, password string, salt []byte, c cost, n uint32) ([]byte, error) {
	select {
	case h.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-h.slots }()
	return argon2.IDKey([]byte(password), salt, c.time, c.memory, c.threads, n), nil
}

// hash makes the PHC string of a password, as argon2 libraries everywhere write it.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt) // never fails: crypto/rand ends the process instead
	sum, err := h.derive(ctx, password, salt, usual, hashBytes)
	if err != nil {
		return "", err
	}
	enc := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, usual.memory, usual.time, usual.threads, enc.EncodeToString(salt), enc.EncodeToString(sum)), nil
}

// verify compares a password with a PHC string. With an empty string it takes the same time and says no, so that an
// account without a password and no account at all look alike.
func (h *hasher) verify(ctx context.Context, phc, password string) (bool, error) {
	if phc == "" {
		_, err := h.derive(ctx, password, make([]byte, saltBytes), usual, hashBytes)
		return false, err
	}
	c, salt, want, err := parsePHC(phc)
	if err != nil {
		return false, err
	}
	got, err := h.derive(ctx, password, salt, c, uint32(len(want)))
	return err == nil && subtle.ConstantTimeCompare(got, want) == 1, err
}

func parsePHC(phc string) (c cost, salt, sum []byte, err error) {
	bad := errors.New("the stored password hash is not an argon2id string")
	parts := strings.Split(phc, "$")
	if len(parts) != 6 || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return c, nil, nil, bad
	}
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &c.memory, &c.time, &c.threads); err != nil || n != 3 || c.memory > 1<<20 || c.time == 0 || c.time > 20 || c.threads == 0 {
		return c, nil, nil, bad
	}
	if salt, err = base64.RawStdEncoding.DecodeString(parts[4]); err != nil || len(salt) < 8 {
		return c, nil, nil, bad
	}
	if sum, err = base64.RawStdEncoding.DecodeString(parts[5]); err != nil || len(sum) < 16 || len(sum) > 64 {
		return c, nil, nil, bad
	}
	return c, salt, sum, nil
}

const (
	minLength = 8
	maxLength = 256
)

// weak says why a password is not good enough, "" when it is.
func weak(password, email string) string {
	var upper, lower, digit bool
	for _, r := range password {
		upper, lower, digit = upper || unicode.IsUpper(r), lower || unicode.IsLower(r), digit || unicode.IsDigit(r)
	}
	local, _, _ := strings.Cut(email, "@")
	switch n := len([]rune(password)); {
	case n < minLength:
		return fmt.Sprintf("Use at least %d characters.", minLength)
	case n > maxLength:
		return fmt.Sprintf("Use at most %d characters.", maxLength)
	case !upper || !lower || !digit:
		return "Use at least one upper-case letter, one lower-case letter and one digit."
	case len(local) >= 4 && strings.Contains(strings.ToLower(password), local):
		return "Use a password that does not contain your e-mail address."
	}
	return ""
}
