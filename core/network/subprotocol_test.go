package network

import (
	"strings"
	"testing"

	"github.com/polywire/polywire/core"
)

// speaking is the chat format with a profile of its own.
type speaking struct {
	chat
	profile core.Profile
}

func (f speaking) Profile() core.Profile { return f.profile }

// TestTokenAsSubprotocol: the answer to a client that sends a token in the subprotocols is a
// name, and never the token.
func TestTokenAsSubprotocol(t *testing.T) {
	none, one := core.Profile{}, core.Profile{Subprotocol: true}
	versions := core.Profile{Subprotocols: []string{"v2", "v1"}}
	const coded = "base64url.bearer.SECRET"
	for _, tt := range []struct {
		name     string
		profile  core.Profile
		offered  string
		selected string // "400" if it is refused
	}{
		{"none, no token", none, "chat", ""},
		{"none", none, "bearer, SECRET", "bearer"},
		{"none, behind another", none, "chat, bearer, SECRET", "chat"},
		{"none, coded", none, coded + ", chat", "chat"},
		{"none, coded alone", none, coded, ""},
		{"none, in two fields", none, "bearer\r\nSec-WebSocket-Protocol: SECRET", "bearer"},
		{"one, no token", one, "chat", "chat"},
		{"one, two and no token", one, "chat, talk", "400"},
		{"one, in two fields", one, "chat\r\nSec-WebSocket-Protocol: talk", "chat"},
		{"one, behind an empty field", one, "\r\nSec-WebSocket-Protocol: talk", ""},
		{"one", one, "bearer, SECRET", "bearer"},
		{"one, in capitals", one, "Bearer, SECRET", "Bearer"},
		{"one beside it", one, "bearer, SECRET, chat", "chat"},
		{"two beside it", one, "bearer, SECRET, chat, talk", "400"},
		{"one, coded", one, coded + ", chat", "chat"},
		{"one, coded alone", one, coded, ""},
		{"one, the name alone", one, "bearer", "bearer"},
		{"versions", versions, "v1, bearer, SECRET, v2", "v2"},
		{"versions, the token is called so", versions, "bearer, v2, v1", "v1"},
		{"versions, none of them", versions, "bearer, SECRET", "bearer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := start(t, func(_ *Options, ep *Endpoint) {
				ep.Format = speaking{profile: tt.profile}
				ep.Settings.TokenProtocols = []string{"bearer"}
			})
			c := r.dialTCP("chat")
			c.write([]byte(upgradeRequest("Sec-WebSocket-Protocol: " + tt.offered + "\r\n")))
			if tt.selected == "400" {
				c.readResponse("HTTP/1.1 400")
				return
			}
			head := c.readResponse("HTTP/1.1 101")
			_, after, _ := strings.Cut(head, "\r\nSec-WebSocket-Protocol: ")
			if selected, _, _ := strings.Cut(after, "\r\n"); selected != tt.selected || strings.Contains(head, "SECRET") {
				t.Errorf("response %q, want %q selected", head, tt.selected)
			}
		})
	}
}
