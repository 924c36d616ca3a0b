package clients

import (
	"fmt"
	"strings"
	"testing"
)

// TestDeflate makes the libraries that can negotiate permessage-deflate with vws, which speaks it,
// and exchange an event with themselves that is worth it.
func TestDeflate(t *testing.T) {
	p := configured(t, everyFormat)
	long := `"` + strings.Repeat("polywire ", 2000) + `"`
	for _, l := range libraries {
		t.Run(l.name, func(t *testing.T) {
			c := greeted(t, l, vws, p)
			if got := strings.Contains(c.extensions, "permessage-deflate"); got != l.deflates {
				t.Errorf("extensions %q, want permessage-deflate: %v", c.extensions, l.deflates)
			}
			c.say(vws.hear("long")...)
			before := c.next("message").wire
			c.say(vws.publish("long", long)...)
			got := c.next("message")
			if want := vws.told("long", long); got.message != want {
				t.Fatalf("got %d bytes, want %d", len(got.message.data), len(want.data))
			}
			if bytes := got.wire - before; l.name == "ws" && (bytes <= 0 || bytes > len(long)/20) {
				t.Errorf("the event took %d bytes, want few: it has %d", bytes, len(long))
			}
			c.leave()
		})
	}
}

// TestNoDeflate makes the same libraries offer it to the other formats, whose originals never speak
// it.
func TestNoDeflate(t *testing.T) {
	p := configured(t, everyFormat)
	for _, l := range libraries {
		for _, f := range formats {
			if !l.deflates || f.name == vws.name {
				continue
			}
			t.Run(l.name+"/"+f.name, func(t *testing.T) {
				c := greeted(t, l, f, p)
				if c.extensions != "" {
					t.Errorf("extensions %q, want none", c.extensions)
				}
				c.leave()
			})
		}
	}
}

// TestContextTakeover makes them send much that resembles what they have sent before. Some keep
// their window whatever a server asks of them.
func TestContextTakeover(t *testing.T) {
	p := configured(t, everyFormat)
	for _, l := range libraries {
		if !l.deflates {
			continue
		}
		t.Run(l.name, func(t *testing.T) {
			c := greeted(t, l, vws, p)
			c.say(vws.hear("again")...)
			c.hear(vws.heard("again"))
			for i := range 30 {
				said := fmt.Sprintf("%q", strings.Repeat(fmt.Sprintf("polywire %d, ", i%3), 1+i*i*2))
				c.say(vws.publish("again", said)...)
				c.hear(vws.told("again", said))
			}
			c.leave()
		})
	}
}
