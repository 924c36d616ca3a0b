package core

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
)

func TestSessionKeys(t *testing.T) {
	for _, c := range []struct {
		name, key string
		err       error
		want      string // part of the error; "" for none
	}{
		{name: "one byte", key: "k"},
		{name: "all that is printable", key: "!\"#\\~09AZaz"},
		{name: "the longest", key: strings.Repeat("k", 255)},
		{name: "too long", key: strings.Repeat("k", 256), want: "has 256 bytes, want 1 to 255"},
		{name: "empty", want: "has 0 bytes"},
		{name: "a space", key: "a b", want: "byte 1 of the generator's key is 0x20, want printable ASCII without spaces"},
		{name: "a zero byte", key: "ab\x00", want: "byte 2 of the generator's key is 0x00"},
		{name: "delete", key: "\x7f", want: "0x7f"},
		{name: "not ASCII", key: "schlüssel", want: "byte 4 of the generator's key is 0xc3"},
		{name: "an error", key: "k", err: errors.New("no entropy"), want: "making a session key: no entropy"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := SessionKeys(func() (string, error) { return c.key, c.err }).New()
			switch {
			case c.want == "" && (err != nil || got != c.key):
				t.Errorf("New = %q, %v", got, err)
			case c.want != "" && (err == nil || got != "" || !strings.Contains(err.Error(), c.want)):
				t.Errorf("New = %q, %v; want %s", got, err, c.want)
			case c.err != nil && !errors.Is(err, c.err):
				t.Errorf("%v does not wrap the generator's error", err)
			}
		})
	}
}

// The default is that of webwire's library.
func TestDefaultSessionKeys(t *testing.T) {
	seen := make(map[string]bool)
	for range 100 {
		key, err := SessionKeys(nil).New()
		if raw, bad := base64.URLEncoding.DecodeString(key); err != nil || bad != nil || len(key) != 64 || len(raw) != 48 || seen[key] {
			t.Fatalf("New = %q, %v", key, err)
		}
		seen[key] = true
	}
}
