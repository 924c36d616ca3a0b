package core

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
)

// maxSessionKey is how long the key of a session may be, in bytes.
const maxSessionKey = 255

// ErrSessionTaken is what a [SessionStore] says of a key that it has a session for.
var ErrSessionTaken = errors.New("there is a session with this key already; session keys must never repeat")

// SessionKeys makes the keys of new sessions. It may be called from many goroutines at
// once, and may block. Whoever knows a key can restore its session: a key must be as
// hard to guess as a password of 32 random characters, and must never come twice. A
// session for whose key it returns an error is not made.
type SessionKeys func() (string, error)

// New returns a key that is fit for use: 1 to 255 bytes of printable ASCII without
// spaces. That of a nil SessionKeys is 64 characters of URL-safe base64, 48 random bytes
// (docs/formats/webwire.md, "Sessions"). No error shows the key.
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
