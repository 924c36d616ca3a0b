package plugin_test

import (
	"strconv"
	"strings"
	"testing"
)

// A predicted outcome does not overtake what had to be asked, though it is known earlier.
func TestExpectedKeepsOrder(t *testing.T) {
	b := run(t, yamlOf("test", "", ""))
	c := b.dial("p")
	c.expect("hello")
	const rounds = 50
	for i := range rounds {
		c.send("refuse " + strconv.Itoa(i))
		c.send("echo " + strconv.Itoa(i))
	}
	for i := range rounds {
		c.expect("refused " + strconv.Itoa(i))
		if got := c.read(); !strings.HasSuffix(got, " echo "+strconv.Itoa(i)) {
			t.Fatalf("read %q, want the echo of %d", got, i)
		}
	}
}

// One publisher's messages reach a subscriber in order, also between messages for the
// subscriber alone, and a connection that ends has sent all its messages.
func TestOrderAcrossConnections(t *testing.T) {
	b := run(t, yamlOf("test", "", ""))
	reader := b.dial("p")
	reader.expect("hello")
	reader.send("join room")
	reader.ask("joined")
	const rounds = 200
	writer := b.dial("p")
	writer.expect("hello")
	for i := range rounds {
		writer.send("say " + strconv.Itoa(i))
	}
	_ = writer.Close()
	for i := range rounds {
		reader.expect(strconv.Itoa(i))
	}
	until(t, "the end of the writer", func() bool { return b.metric(`polywire_connections_open{endpoint="p"`) == 1 })
	if n := b.metric(`polywire_connections_closed_total{endpoint="p"`); n != 1 {
		t.Errorf("%v connections were closed, want 1", n)
	}
}
