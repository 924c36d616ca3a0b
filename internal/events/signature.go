package events

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
)

// secretPrefix begins a secret that is written in base64, as https://www.standardwebhooks.com writes them.
const secretPrefix = "whsec_"

// minSecret is the least size of a secret, in bytes.
const minSecret = 16

// Secret returns the bytes of a secret as it is written: base64 behind whsec_, else the text itself. White space around
// it does not count.
func Secret(text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	key := []byte(text)
	if encoded, ok := strings.CutPrefix(text, secretPrefix); ok {
		var err error
		if key, err = base64.StdEncoding.DecodeString(encoded); err != nil {
			return nil, errors.New("is no base64 behind whsec_")
		}
	}
	if len(key) < minSecret {
		return nil, errors.New("must have at least 16 bytes")
	}
	return key, nil
}

// sign returns the header webhook-signature of a request.
func sign(secret []byte, id, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	_, _ = mac.Write([]byte(id + "." + timestamp + "."))
	_, _ = mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
