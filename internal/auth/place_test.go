package auth

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/polywire/polywire/core"
)

// shows returns a client that shows headers, as "Name: value", and a query, as
// "?name=value", each in a line.
func shows(t testing.TB, lines string) core.Handshake {
	t.Helper()
	h := core.Handshake{Header: http.Header{}, Query: url.Values{}, Remote: "192.0.2.1:5"}
	for line := range strings.SplitSeq(lines, "\n") {
		if query, ok := strings.CutPrefix(line, "?"); ok {
			var err error
			if h.Query, err = url.ParseQuery(query); err != nil {
				t.Fatal(err)
			}
		} else if name, value, ok := strings.Cut(line, ": "); ok {
			h.Header.Add(name, value)
		}
	}
	return h
}
