package core

import (
	"slices"
	"strings"
	"testing"
)

func TestProtocolToken(t *testing.T) {
	for _, tt := range []struct{ offered, token, open string }{
		{"", "", ""},
		{"chat", "", "chat"},
		{"bearer", "", "bearer"},
		{"bearer,T", "T", "bearer"},
		{"Bearer,T,chat", "T", "Bearer,chat"},
		{"chat,bearer,T", "T", "chat,bearer"},
		{"bearer,bearer", "bearer", "bearer"},
		{"bearer,bearer,U", "bearer", "bearer"},
		{"bearer,T,bearer,U", "T", "bearer,bearer"},
		{"base64url.bearer.c8OkY3JldA,chat", "s\u00e4cret", "chat"},
		{"base64url.bearer.c8OkY3JldA==", "s\u00e4cret", ""},
		{"base64url.bearer.authorization.k8s.io.c2VjcmV0,base64.binary.k8s.io", "secret", "base64.binary.k8s.io"},
		{"base64url.bearer.!!!,chat", "", "chat"},
		{"base64url.bearer.,chat", "", "chat"},
		{"base64url.other.c2VjcmV0", "", "base64url.other.c2VjcmV0"},
	} {
		var offered []string
		if tt.offered != "" {
			offered = strings.Split(tt.offered, ",")
		}
		token, ok := ProtocolToken(offered, "bearer")
		if token != tt.token || ok != (tt.token != "") {
			t.Errorf("%s: token %q, %v, want %q", tt.offered, token, ok, tt.token)
		}
		if open := strings.Join(OpenProtocols(offered, []string{"x", "bearer"}), ","); open != tt.open {
			t.Errorf("%s: open %q, want %q", tt.offered, open, tt.open)
		}
		if got := OpenProtocols(offered, nil); !slices.Equal(got, offered) {
			t.Errorf("%s: without names %q", tt.offered, got)
		}
	}
}
