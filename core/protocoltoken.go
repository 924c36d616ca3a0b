package core

import (
	"encoding/base64"
	"strings"
)

// A page in a browser can set only one header of its handshake, the subprotocols that it
// offers, so some clients send their token there. They announce it with a name that both
// sides know, such as bearer:
//
//	Sec-WebSocket-Protocol: bearer, TOKEN
//	Sec-WebSocket-Protocol: base64url.bearer.TOKEN, chat
//
// The second form allows tokens of any characters: TOKEN is in base64url, and more
// names may precede it (base64url.bearer.authorization.k8s.io.TOKEN). A token is never
// sent back: see [OpenProtocols].

// ProtocolToken returns the token that a client announces with name in its offered
// subprotocols.
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

// OpenProtocols returns the offered subprotocols without those that are, or could be, tokens
// announced with one of names.
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

// isCoded reports whether p is a token in base64url, judged by its prefix.
func isCoded(p, name string) bool {
	prefix := "base64url." + name + "."
	return len(p) >= len(prefix) && strings.EqualFold(p[:len(prefix)], prefix)
}
