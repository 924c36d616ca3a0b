package auth

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

const (
	// minRSA is the smallest RSA key, in bits (RFC 7518, sections 3.3 and 3.5).
	minRSA = 2048
	// MinSecret is the shortest secret, in bytes: that of HS256 (RFC 7518, section 3.2).
	MinSecret = 32
	// maxKeys bounds a key set: for a token that names no key, every key is tried.
	maxKeys = 100
)

// key verifies signatures. Its type decides by which algorithms, not the token: a public key
// is never used as a secret.
type key struct {
	id    string // "" fits any token
	alg   string // "" is any that the key is fit for
	value any    // []byte, *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
}

// fits reports whether a token with this header may be signed with the key.
func (k key) fits(h jose.Header) bool {
	if k.id != "" && h.KeyID != "" && k.id != h.KeyID || k.alg != "" && k.alg != h.Algorithm {
		return false
	}
	switch v := k.value.(type) {
	case []byte:
		return strings.HasPrefix(h.Algorithm, "HS")
	case *rsa.PublicKey:
		return strings.HasPrefix(h.Algorithm, "RS") || strings.HasPrefix(h.Algorithm, "PS")
	case *ecdsa.PublicKey:
		return h.Algorithm == map[int]string{256: "ES256", 384: "ES384", 521: "ES512"}[v.Curve.Params().BitSize]
	case ed25519.PublicKey:
		return h.Algorithm == string(jose.EdDSA)
	}
	return false
}

// keySource provides the keys of an issuer.
type keySource interface {
	// keys returns the keys that fit. The error means that there may be others, which
	// are not available now.
	keys(ctx context.Context, h jose.Header) ([]key, error)
}

// keyFile is a file of keys.
type keyFile struct{ file *file[[]key] }

func (f keyFile) keys(_ context.Context, h jose.Header) ([]key, error) {
	return fitting(f.file.get(), h), nil
}

// keyList are keys that do not change.
type keyList []key

func (l keyList) keys(_ context.Context, h jose.Header) ([]key, error) { return fitting(l, h), nil }

func fitting(keys []key, h jose.Header) []key {
	var fit []key
	for _, k := range keys {
		if k.fits(h) {
			fit = append(fit, k)
		}
	}
	return fit
}

var errShortSecret = fmt.Errorf("the secret must have at least %d bytes", MinSecret)

// parseSecret reads a secret from a file, without the white space around it.
func parseSecret(data []byte) ([]key, error) {
	secret := bytes.TrimSpace(data)
	if len(secret) < MinSecret {
		return nil, errShortSecret
	}
	return []key{{value: secret}}, nil
}

// parsePEM reads public keys and certificates; of a certificate only the key counts.
func parsePEM(data []byte) ([]key, error) {
	var keys []key
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		value, err := publicKey(block)
		if err != nil {
			return nil, err
		}
		if err := usable(value); err != nil {
			return nil, err
		}
		keys = append(keys, key{value: value})
	}
	if len(keys) == 0 {
		return nil, errors.New("no public key in PEM")
	}
	return keys, nil
}

func publicKey(block *pem.Block) (any, error) {
	switch block.Type {
	case "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return c.PublicKey, nil
	}
	return nil, fmt.Errorf("a %s is no public key", strings.ToLower(block.Type))
}

// usable returns what is wrong with a public key.
func usable(value any) error {
	switch v := value.(type) {
	case *rsa.PublicKey:
		if v.N.BitLen() < minRSA {
			return fmt.Errorf("an RSA key of %d bits is too short; the least is %d", v.N.BitLen(), minRSA)
		}
		return nil
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return nil
	}
	return fmt.Errorf("keys of type %T are not supported", value)
}

// keySet reads a JSON Web Key Set (RFC 7517). Keys that it cannot use are left out and
// logged; so are secrets, which have no place in a set of public keys.
func keySet(data []byte, log *slog.Logger) ([]key, error) {
	var set struct {
		Keys *[]json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, fmt.Errorf("decoding key set: %w", err)
	}
	if set.Keys == nil {
		return nil, errors.New("decoding key set: there is no member keys")
	}
	if len(*set.Keys) > maxKeys {
		return nil, fmt.Errorf("decoding key set: %d keys; the most is %d", len(*set.Keys), maxKeys)
	}
	keys := []key{}
	for _, raw := range *set.Keys {
		k, err := publicJWK(raw)
		if err == nil && k.Use == "enc" {
			continue
		}
		if err == nil {
			err = usable(k.Key)
		}
		if err != nil {
			log.Warn("key left out of the set", "kid", k.KeyID, "error", err)
			continue
		}
		keys = append(keys, key{id: k.KeyID, alg: k.Algorithm, value: k.Key})
	}
	return keys, nil
}

// publicJWK reads a JSON Web Key (RFC 7517). It ignores the certificates: only the key
// counts, and some sets have broken ones. KeyID is set also after an error.
func publicJWK(raw []byte) (k jose.JSONWebKey, err error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return k, err
	}
	for _, name := range []string{"x5c", "x5t", "x5t#S256", "x5u"} {
		delete(members, name)
	}
	if raw, err = json.Marshal(members); err == nil {
		err = k.UnmarshalJSON(raw)
	}
	if err != nil {
		if k.KeyID == "" {
			k.KeyID = string(members["kid"])
		}
		return k, err
	}
	return k.Public(), nil
}

// algorithms returns the algorithms that the keys of an issuer allow, unless configured
// otherwise: with secrets those for which each is long enough, and with public keys all.
func algorithms(shortest int, public bool) []jose.SignatureAlgorithm {
	var list []jose.SignatureAlgorithm
	for _, a := range []struct {
		name  jose.SignatureAlgorithm
		bytes int
	}{{jose.HS256, 32}, {jose.HS384, 48}, {jose.HS512, 64}} {
		if shortest >= a.bytes {
			list = append(list, a.name)
		}
	}
	if public {
		list = slices.Concat(list, []jose.SignatureAlgorithm{
			jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512,
			jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
		})
	}
	return list
}
