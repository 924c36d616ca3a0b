package core

import (
	"encoding/base64"
	"strings"
)

// A page of a browser can set no header of its handshake but the subprotocols that it
// offers, so some clients show their token there. They announce it by a name that both
// sides know, such as bearer:
//
//	Sec-WebSocket-Protocol: bearer, TOKEN
//	Sec-WebSocket-Protocol: base64url.bearer.TOKEN, chat
//
// In the second form, which takes tokens of any characters, TOKEN is in base64url and more
// names may stand before it (base64url.bearer.authorization.k8s.io.TOKEN). A token is never
// answered: see [OpenProtocols].

// ProtocolToken returns the token that a client shows by name in the subprotocols that it
// offers.
func ProtocolToken(offered []string, name string) (token string, ok bool) {
	for i, p := range offered {
		if strings.EqualFold(p, name) && i+1 < len(offered) {
			return offered[i+1], true
		}
		if isCoded(p, name) {
			coded := strings.TrimRight(p[strings.LastIndexByte(p, '.')+1:], "=")
			if b, err := base64.RawURLEncoding.DecodeString(coded); err == nil && len(b) > 0 {
				return string(b), true
			}
		}
	}
	return "", false
}

// OpenProtocols returns the offered subprotocols without those that are, or could be meant
// as, tokens that are shown by one of names.
func OpenProtocols(offered, names []string) []string {
	var open []string
	announced := false
	for _, p := range offered {
		announces, coded := false, false
		for _, name := range names {
			announces = announces || strings.EqualFold(p, name)
			coded = coded || isCoded(p, name)
		}
		if !announced && !coded {
			open = append(open, p)
		}
		announced = announces
	}
	return open
}

// isCoded reports whether p is a token in base64url, by its beginning.
func isCoded(p, name string) bool {
	prefix := "base64url." + name + "."
	return len(p) >= len(prefix) && strings.EqualFold(p[:len(prefix)], prefix)
}
