package core

import (
	"strings"
	"testing"
)

func TestCallIDText(t *testing.T) {
	id := CallID{0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x46, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}
	const text = "00112233-4455-4677-8899-aabbccddeeff"
	if got := string(id.Append([]byte("id "))); got != "id "+text {
		t.Errorf("Append = %q", got)
	}
	for _, c := range []struct {
		name, text string
		ok         bool
	}{
		{"canonical", text, true},
		{"upper case", strings.ToUpper(text), true},
		{"without dashes", strings.ReplaceAll(text, "-", ""), false},
		{"a dash too late", "001122334-455-4677-8899-aabbccddeeff", false},
		{"another letter", "0011223g-4455-4677-8899-aabbccddeeff", false},
		{"another letter at the end", text[:35] + "x", false},
		{"dashes alone", strings.Repeat("-", 36), false},
		{"too short", text[:35], false},
		{"too long", text + "0", false},
		{"in braces", "{" + text + "}", false},
		{"empty", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := CallID{}
			if c.ok {
				want = id
			}
			if got, ok := ParseCallID([]byte(c.text)); ok != c.ok || got != want {
				t.Errorf("ParseCallID(%q) = %x, %v", c.text, got, ok)
			}
		})
	}
}

// TestNewCallID: ids are random UUIDs, and differ.
func TestNewCallID(t *testing.T) {
	seen := make(map[CallID]bool)
	for range 1000 {
		id := NewCallID()
		if id[6]>>4 != 4 || id[8]>>6 != 2 {
			t.Fatalf("%x is no UUID of version 4", id)
		}
		seen[id] = true
	}
	if len(seen) != 1000 {
		t.Errorf("%d different ids of 1000", len(seen))
	}
}
