package auth

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	strict "github.com/go-jose/go-jose/v4/json" // names in their case, and once
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/polywire/polywire/core"
)

// JWTOptions say which tokens are good. At least one source of keys is needed.
type JWTOptions struct {
	// Places are where clients show the token.
	Places []Place
	// Secret is the secret for HS256, HS384 and HS512, at least MinSecret bytes; "" for none.
	Secret string
	// SecretFile holds such a secret; "" for none.
	SecretFile string
	// PublicKeys are files of public keys or certificates, in PEM.
	PublicKeys []string
	// JWKS is a key set: an http or https URL, or a file; "" for none.
	JWKS string
	// Refresh is the time between two fetches of a JWKS URL, and Timeout how long one
	// may take. Positive with a URL.
	Refresh, Timeout time.Duration
	// Algorithms are the allowed ones; nil allows all that fit the keys.
	Algorithms []string
	// Issuers and Audiences are the accepted ones; the token must name one of each. nil
	// accepts any. A token of another issuer is left to another method.
	Issuers, Audiences []string
	// Require are claims that the token must have, with one of these values; "*" is any.
	Require map[string][]string
	// Subject is the claim that names the user.
	Subject string
	// Leeway is how far the clock of the issuer may differ.
	Leeway time.Duration
	// Logger logs when key sets and key files change or cannot be used.
	Logger *slog.Logger
}

// JWT is the method of signed tokens (RFC 7519, RFC 7515). Its own keys and list of
// algorithms decide what it accepts; of what a token says about itself, only the key id and
// the algorithm are used, to choose among them.
type JWT struct {
	// Static after construction.
	options    JWTOptions
	algorithms []jose.SignatureAlgorithm
	sources    []keySource
	server     *keyServer // one of sources; nil without
}

var _ Method = (*JWT)(nil)

// NewJWT returns a method. Files that cannot be used are an error; a URL need not
// answer yet, and is asked when a token comes or once Start was called.
func NewJWT(o JWTOptions) (*JWT, error) {
	j := &JWT{options: o}
	shortest := len(o.Secret)
	if o.Secret != "" {
		j.sources = append(j.sources, keyList{{value: []byte(o.Secret)}})
	}
	if o.SecretFile != "" {
		f, err := openFile(o.SecretFile, parseSecret, o.Logger)
		if err != nil {
			return nil, fmt.Errorf("opening secret file: %w", err)
		}
		if n := len(f.get()[0].value.([]byte)); shortest == 0 || n < shortest {
			shortest = n
		}
		j.sources = append(j.sources, keyFile{f})
	}
	for _, path := range o.PublicKeys {
		f, err := openFile(path, parsePEM, o.Logger)
		if err != nil {
			return nil, fmt.Errorf("opening public key: %w", err)
		}
		j.sources = append(j.sources, keyFile{f})
	}
	if err := j.openSet(); err != nil {
		return nil, err
	}
	j.algorithms = algorithms(shortest, len(o.PublicKeys) > 0 || o.JWKS != "")
	if o.Algorithms != nil {
		j.algorithms = nil
		for _, a := range o.Algorithms {
			j.algorithms = append(j.algorithms, jose.SignatureAlgorithm(a))
		}
	}
	return j, nil
}

// Start begins to fetch the key set of a URL in the background, until Close. It is called
// once.
func (j *JWT) Start() {
	if j.server != nil {
		j.server.start()
	}
}

// openSet opens the key set.
func (j *JWT) openSet() error {
	o := j.options
	if o.JWKS == "" {
		return nil
	}
	if strings.HasPrefix(o.JWKS, "http://") || strings.HasPrefix(o.JWKS, "https://") {
		j.server = newKeyServer(o.JWKS, o.Refresh, o.Timeout, o.Logger)
		j.sources = append(j.sources, j.server)
		return nil
	}
	f, err := openFile(o.JWKS, func(data []byte) ([]key, error) { return keySet(data, o.Logger) }, o.Logger)
	if err != nil {
		return fmt.Errorf("opening key set: %w", err)
	}
	j.sources = append(j.sources, keyFile{f})
	return nil
}

// Close ends what runs in the background.
func (j *JWT) Close() {
	if j.server != nil {
		j.server.close()
	}
}

var (
	errNoToken   = errors.New("no JWT")
	errIssuer    = errors.New("the token is of another issuer")
	errSignature = errors.New("no key fits the token's signature")
)

// Identify checks the client's token.
func (j *JWT) Identify(ctx context.Context, h core.Handshake) Finding {
	token, err := find(j.options.Places, h)
	switch {
	case err != nil:
		return Finding{Outcome: Bad, Err: err}
	case token == (shown{}):
		return Finding{}
	}
	for _, text := range token.readings() {
		if claimed, ok := unverified(text); ok {
			return j.check(ctx, text, claimed)
		}
	}
	return Finding{Outcome: Foreign, Err: errNoToken}
}

// check checks a token that claims claimed.
func (j *JWT) check(ctx context.Context, text string, claimed []byte) Finding {
	// Before anything else: the token need not be one that we understand.
	if !j.ours(claimed) {
		return Finding{Outcome: Foreign, Err: errIssuer}
	}
	token, err := jose.ParseSignedCompact(text, j.algorithms)
	if err != nil {
		return Finding{Outcome: Bad, Err: fmt.Errorf("parsing token: %w", err)}
	}
	payload, err := j.verify(ctx, token)
	switch {
	case errors.Is(err, errSignature):
		return Finding{Outcome: Bad, Err: err}
	case err != nil:
		return Finding{Outcome: Unknown, Err: err}
	}
	identity, err := j.identity(payload)
	if err != nil {
		return Finding{Outcome: Bad, Err: err}
	}
	return Finding{Outcome: Good, Identity: identity}
}

// unverified returns the payload of a text that has the form of a signed JWT: three parts,
// the first of which is a JSON object.
func unverified(text string) (payload []byte, ok bool) {
	if strings.Count(text, ".") != 2 {
		return nil, false
	}
	parts := strings.Split(text, ".")
	header, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil || len(header) == 0 || header[0] != '{' {
		return nil, false
	}
	payload, err = base64.RawURLEncoding.DecodeString(parts[1])
	return payload, err == nil
}

// ours reports whether a payload that is not verified yet names an issuer of ours.
func (j *JWT) ours(payload []byte) bool {
	if j.options.Issuers == nil {
		return true
	}
	claims, err := decodeClaims(payload)
	return err == nil && slices.Contains(j.options.Issuers, claimText(claims["iss"]))
}

// verify returns the payload of a token that one of the keys has signed. The error is
// errSignature if none has, and another one if that is not known.
func (j *JWT) verify(ctx context.Context, token *jose.JSONWebSignature) ([]byte, error) {
	var missing error
	for _, source := range j.sources {
		keys, err := source.keys(ctx, token.Signatures[0].Header)
		for _, k := range keys {
			if payload, err := token.Verify(k.value); err == nil {
				return payload, nil
			}
		}
		if err != nil {
			missing = err
		}
	}
	// Whoever looks for the reason needs to know which key the token asks for.
	if missing != nil {
		return nil, fmt.Errorf("looking for key %.80q: %w", token.Signatures[0].Header.KeyID, missing)
	}
	return nil, fmt.Errorf("%w (key %.80q)", errSignature, token.Signatures[0].Header.KeyID)
}

// identity checks the claims of a verified token and returns the identity that they name.
func (j *JWT) identity(payload []byte) (*core.Identity, error) {
	o := &j.options
	claims, err := decodeClaims(payload)
	if err != nil {
		return nil, fmt.Errorf("decoding claims: %w", err)
	}
	known, err := registered(claims)
	if err != nil {
		return nil, fmt.Errorf("decoding claims: %w", err)
	}
	if o.Issuers != nil && !slices.Contains(o.Issuers, known.Issuer) {
		return nil, errIssuer
	}
	if err := known.ValidateWithLeeway(jwt.Expected{AnyAudience: o.Audiences}, o.Leeway); err != nil {
		return nil, fmt.Errorf("checking claims: %w", err)
	}
	for name, values := range o.Require {
		if !HasValue(claims[name], values) {
			return nil, fmt.Errorf("checking claims: %s is missing or has another value", name)
		}
	}
	identity := &core.Identity{Subject: claimText(claims[o.Subject]), Method: "jwt", Claims: claims}
	if known.Expiry != nil {
		identity.Expires = known.Expiry.Time().Add(o.Leeway)
	}
	return identity, nil
}

// decodeClaims reads the claims of a token as core.Identity has them. Each name may occur
// only once, and letter case counts.
func decodeClaims(payload []byte) (map[string]any, error) {
	var once map[string]any
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.UseNumber()
	claims := map[string]any{}
	if err := errors.Join(strict.Unmarshal(payload, &once), decoder.Decode(&claims)); err != nil {
		return nil, err
	}
	return claims, nil
}

// registered returns the registered claims (RFC 7519, section 4.1) that are checked. Names
// may be numbers, as some issuers write them.
func registered(claims map[string]any) (jwt.Claims, error) {
	known := jwt.Claims{Issuer: claimText(claims["iss"])}
	switch aud := claims["aud"].(type) {
	case nil:
	case []any:
		for _, one := range aud {
			known.Audience = append(known.Audience, claimText(one))
		}
	default:
		known.Audience = jwt.Audience{claimText(aud)}
	}
	for name, to := range map[string]**jwt.NumericDate{"exp": &known.Expiry, "nbf": &known.NotBefore, "iat": &known.IssuedAt} {
		if claims[name] == nil {
			continue
		}
		date, err := numericDate(claims[name])
		if err != nil {
			return jwt.Claims{}, fmt.Errorf("%s: %w", name, err)
		}
		*to = date
	}
	return known, nil
}

// lastDate is the last second whose year has four digits in package time.
const lastDate = 253402300799

// numericDate reads a time as seconds since 1970, which may have a fraction.
func numericDate(v any) (*jwt.NumericDate, error) {
	number, ok := v.(json.Number)
	if !ok {
		return nil, errors.New("must be a number of seconds")
	}
	seconds, err := strconv.ParseFloat(number.String(), 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return nil, err
	}
	date := jwt.NumericDate(min(max(seconds, 0), lastDate))
	return &date, nil
}

// HasValue reports whether a claim, or an entry of it if it is a list, is one of values; "*" is any. Any goroutine.
func HasValue(claim any, values []string) bool {
	if list, ok := claim.([]any); ok {
		return slices.ContainsFunc(list, func(v any) bool { return HasValue(v, values) })
	}
	return claim != nil && (slices.Contains(values, "*") || slices.Contains(values, claimText(claim)))
}

// claimText returns a single value as text; "" if it is none.
func claimText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return fmt.Sprint(v)
	}
	return ""
}
