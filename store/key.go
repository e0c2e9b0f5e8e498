package store

import (
	"context"
	"crypto/rsa"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// Key is one SSH public key of a user.
type Key struct {
	ID           int64     `json:"id"`
	UserID       int64     `json:"-"`
	Fingerprint  string    `json:"fingerprint"` // SHA256:..., as OpenSSH prints it
	Type         string    `json:"type"`
	Comment      string    `json:"comment,omitempty"`
	CreatedAt    time.Time `json:"created_at"`
	LastUsedAt   time.Time `json:"last_used_at,omitzero"`
	LastUsedFrom string    `json:"last_used_from,omitempty"`
}

// PublicKey is a checked public key.
type PublicKey struct {
	Type, Blob, Comment, Fingerprint string
}

// minRSABits is the smallest RSA key that is accepted; NIST SP 800-57 rates 3072 bits as 128-bit security.
const minRSABits = 3072

// ParsePublicKey reads one public key line. White space inside is repaired, as line breaks come with pasting; options in
// front of the key are refused, and so is a private key, without repeating any of it.
func ParsePublicKey(text string) (*PublicKey, error) {
	if len(text) > 16*1024 {
		return nil, refuse(Invalid, "paste the one line of the .pub file", "the key text is longer than 16 KiB")
	}
	if strings.Contains(text, "PRIVATE KEY") {
		return nil, refuse(Invalid, "paste the file that ends in .pub; as the private key has now left its file, make a new pair with `ssh-keygen -t ed25519`",
			"this is a private key, it was not stored")
	}
	fields := strings.Fields(text)
	if len(fields) < 2 {
		return nil, refuse(Invalid, "paste the one line of the .pub file, it begins with ssh-ed25519, ecdsa-sha2-, ssh-rsa or sk-", "this is not an SSH public key")
	}
	blob, rest := joinBlob(fields[1:])
	raw, err := base64.StdEncoding.DecodeString(blob)
	if err != nil {
		return nil, refuse(Invalid, "paste the whole line of the .pub file", "the key's base64 part is damaged or cut")
	}
	pub, err := ssh.ParsePublicKey(raw)
	if err != nil || pub.Type() != fields[0] {
		return nil, refuse(Invalid, "paste the whole line of the .pub file, without options in front", "this is not an SSH public key of a known type")
	}
	if err := acceptable(pub); err != nil {
		return nil, err
	}
	return &PublicKey{Type: pub.Type(), Blob: blob, Comment: clip(strings.Join(rest, " "), 200), Fingerprint: ssh.FingerprintSHA256(pub)}, nil
}

// joinBlob puts a base64 blob together that pasting broke into pieces; what follows it is the comment.
func joinBlob(fields []string) (blob string, rest []string) {
	blob = fields[0]
	for i, f := range fields[1:] {
		if raw, err := base64.StdEncoding.DecodeString(blob); err == nil {
			if _, err := ssh.ParsePublicKey(raw); err == nil {
				return blob, fields[i+1:]
			}
		}
		blob += f
	}
	if raw, err := base64.StdEncoding.DecodeString(blob); err == nil {
		if _, err := ssh.ParsePublicKey(raw); err == nil {
			return blob, nil
		}
	}
	return fields[0], fields[1:]
}

func acceptable(pub ssh.PublicKey) error {
	switch pub.Type() {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256:
		return nil
	case ssh.KeyAlgoRSA:
		ck, ok := pub.(ssh.CryptoPublicKey)
		if !ok {
			break
		}
		k, ok := ck.CryptoPublicKey().(*rsa.PublicKey)
		if !ok {
			break
		}
		if bits := k.N.BitLen(); bits < minRSABits {
			return refuse(Invalid, "make a new one with `ssh-keygen -t ed25519`", "the RSA key has %d bits, at least %d are needed", bits, minRSABits)
		}
		return nil
	}
	return refuse(Invalid, "make a new one with `ssh-keygen -t ed25519`", "keys of type %s are not accepted", pub.Type())
}

func clip(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s)
	if len(s) > n {
		s = strings.ToValidUTF8(s[:n], "")
	}
	return s
}

// AddKey gives a user one more key.
func (s *Store) AddKey(ctx context.Context, actor, user, text string) (Key, error) {
	pub, err := ParsePublicKey(text)
	if err != nil {
		return Key{}, err
	}
	err = s.write(ctx, func(tx *sql.Tx) error {
		u, err := userByName(ctx, tx, user)
		if err != nil {
			return err
		}
		return s.addKey(ctx, tx, actor, u.ID, u.Name, pub)
	})
	if err != nil {
		return Key{}, err
	}
	keys, err := collect(ctx, s.r, scanKey, keyQuery+` WHERE fingerprint = ?`, pub.Fingerprint)
	if err != nil || len(keys) == 0 {
		return Key{}, errors.Join(errors.New("the key was stored but is gone again"), err)
	}
	return keys[0], nil
}

func (s *Store) addKey(ctx context.Context, tx *sql.Tx, actor string, userID int64, user string, k *PublicKey) error {
	var owner string
	err := tx.QueryRowContext(ctx, `SELECT u.name FROM keys k JOIN users u ON u.id = k.user_id WHERE k.fingerprint = ?`, k.Fingerprint).Scan(&owner)
	if err == nil {
		return refuse(Conflict, "each key belongs to one person; make another pair", "key %s is connected to user %s already", k.Fingerprint, owner)
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("add key: %w", err)
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO keys (user_id, fingerprint, type, public, comment, created_at) VALUES (?, ?, ?, ?, ?, ?)`,
		userID, k.Fingerprint, k.Type, k.Type+" "+k.Blob, k.Comment, nanos(s.now())); err != nil {
		return fmt.Errorf("add key: %w", err)
	}
	return s.audit(ctx, tx, actor, "key.add", user, k.Fingerprint)
}

// Keys lists a user's keys, oldest first.
func (s *Store) Keys(ctx context.Context, user string) ([]Key, error) {
	u, err := s.UserByName(ctx, user)
	if err != nil {
		return nil, err
	}
	return collect(ctx, s.r, scanKey, keyQuery+` WHERE user_id = ? ORDER BY id`, u.ID)
}

// RemoveKey takes a key away from a user, by its fingerprint or a unique beginning of it.
func (s *Store) RemoveKey(ctx context.Context, actor, user, fingerprint string) (Key, error) {
	keys, err := s.Keys(ctx, user)
	if err != nil {
		return Key{}, err
	}
	var hits []Key
	for _, k := range keys {
		if strings.HasPrefix(k.Fingerprint, fingerprint) || strings.HasPrefix(k.Fingerprint, "SHA256:"+fingerprint) {
			hits = append(hits, k)
		}
	}
	if len(hits) != 1 || fingerprint == "" {
		return Key{}, refuse(NotFound, "give the whole fingerprint from `aida analyst key list "+user+"`", "user %s has %d keys that begin with %q", user, len(hits), fingerprint)
	}
	return hits[0], s.write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM keys WHERE id = ?`, hits[0].ID); err != nil {
			return fmt.Errorf("remove key: %w", err)
		}
		return s.audit(ctx, tx, actor, "key.remove", user, hits[0].Fingerprint)
	})
}

// Login answers who may sign in with a key: the account must exist, own the key, and not be suspended. It is used
// for every offered key and again while a connection is open, as a key may be taken away at any time.
func (s *Store) Login(ctx context.Context, user, fingerprint string) (User, Key, error) {
	denied := refuse(Unauthorized, "", "the key is not connected to this user")
	keys, err := collect(ctx, s.r, scanKey, keyQuery+` WHERE fingerprint = ?`, fingerprint)
	if err != nil {
		return User{}, Key{}, err
	}
	if len(keys) != 1 {
		return User{}, Key{}, denied
	}
	u, err := userWhere(ctx, s.r, "u.id = ?", keys[0].UserID)
	if CodeOf(err) == NotFound {
		return User{}, Key{}, denied
	}
	if err != nil {
		return User{}, Key{}, err
	}
	if u.Name != user || !u.SuspendedAt.IsZero() {
		return User{}, Key{}, denied
	}
	return u, keys[0], nil
}

// KeyUsed notes when and from where a key last signed in.
func (s *Store) KeyUsed(ctx context.Context, keyID int64, from string) error {
	_, err := s.w.ExecContext(ctx, `UPDATE keys SET last_used_at = ?, last_used_from = ? WHERE id = ?`, nanos(s.now()), from, keyID)
	return err
}

const keyQuery = `SELECT id, user_id, fingerprint, type, comment, created_at, last_used_at, last_used_from FROM keys`

func scanKey(rows *sql.Rows) (Key, error) {
	var k Key
	var created, used int64
	err := rows.Scan(&k.ID, &k.UserID, &k.Fingerprint, &k.Type, &k.Comment, &created, &used, &k.LastUsedFrom)
	k.CreatedAt, k.LastUsedAt = fromNanos(created), fromNanos(used)
	return k, err
}
