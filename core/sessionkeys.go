package core

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
)

// maxSessionKey is the longest session key, in bytes.
const maxSessionKey = 255

// ErrSessionTaken is the error of [SessionStore].Create for a key that has a session already.
var ErrSessionTaken = errors.New("there is a session with this key already; session keys must never repeat")

// SessionKeys makes the keys of new sessions. It may be called from many goroutines at
// once, and may block. Whoever knows a key can restore its session: a key must be as
// hard to guess as a password of 32 random characters, and must never repeat. If it
// returns an error, no session is made.
type SessionKeys func() (string, error)

// New returns a valid key: 1 to 255 bytes of printable ASCII without spaces. A nil
// SessionKeys makes keys of 64 characters: 48 random bytes in URL-safe base64
// (docs/formats/webwire.md, "Sessions"). Errors never show the key.
func (k SessionKeys) New() (string, error) {
	if k == nil {
		var random [48]byte
		rand.Read(random[:]) // never fails
		return base64.RawURLEncoding.EncodeToString(random[:]), nil
	}
	key, err := k()
	if err != nil {
		return "", fmt.Errorf("making a session key: %w", err)
	}
	if len(key) == 0 || len(key) > maxSessionKey {
		return "", fmt.Errorf("making a session key: the generator's key has %d bytes, want 1 to %d", len(key), maxSessionKey)
	}
	for i := range len(key) {
		if key[i] <= ' ' || key[i] > '~' {
			return "", fmt.Errorf("making a session key: byte %d of the generator's key is 0x%02x, want printable ASCII without spaces", i, key[i])
		}
	}
	return key, nil
}
