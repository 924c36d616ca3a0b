package clustertest

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

func pattern(name, prefix string) core.Interest {
	return core.Interest{Name: name, Prefix: prefix, Pattern: true}
}

// testInterest: what an interest matches comes as long as it is on.
func testInterest(t *testing.T, w *world) {
	all := w.nodes(t, "a", "b")
	a, b := all[0], all[1]
	for _, c := range []struct {
		interest core.Interest
		topics   []string
	}{
		{core.Interest{Name: "x/y"}, []string{"x/y"}},
		{core.Interest{Name: "x//y/"}, []string{"x//y/"}},
		{core.Interest{Name: ""}, []string{""}},
		{core.Interest{Name: "x/+"}, []string{"x/+"}},
		{pattern("p/y", ""), []string{"p/y"}},
		{pattern("p/+/z", ""), []string{"p/y/z", "p/+/z"}},
		{pattern("p/#", ""), []string{"p/y", "p/y/z", "p/", "p//"}},
		{pattern("p//+", ""), []string{"p//z", "p/y/z"}},
		{pattern("/+", ""), []string{"/y", "x/y"}},
		{pattern("#", ""), []string{"anything", "/"}},
		{pattern("$s/+", ""), []string{"$s/x"}},
		{pattern("/#", ""), []string{"$s/x"}},
		{pattern("+/z", "q/"), []string{"q/y/z"}},
		{pattern("#", "q/"), []string{"q/y", "q/y/z", "q//"}},
		{pattern("#", "q/r"), []string{"q/rs", "q/rs/t", "q/r/t"}},
		{pattern("+/z", "q/r"), []string{"q/rs/z"}},
		{pattern("/z/+", "q/r"), []string{"q/r/z/y", "q/rs/z/y"}},
		{pattern("s/+", "q r"), []string{"q rs/y"}},
		{pattern("#", "x.*"), []string{"x.*>", "x.*/y"}},
	} {
		for _, topic := range c.topics {
			w.hears(t, a, b, c.interest, topic)
			w.ceases(t, a, b, c.interest, topic)
		}
	}
	// One of several interests in a topic ends.
	one, two := core.Interest{Name: "both"}, pattern("both", "")
	w.hears(t, a, b, one, "both")
	w.hears(t, a, b, two, "both")
	one.On = false
	a.Hear([]core.Interest{one})
	w.synced(t, b, a)
	before := len(a.got("both"))
	coretest.Eventually(t, "the other interest is still there", func() bool {
		b.Publish([]byte("both"), text("still"), nil)
		return len(a.got("both")) > before
	})
	w.ceases(t, a, b, two, "both")
}

// testOneCopy: a message comes once, however many interests it matches.
func testOneCopy(t *testing.T, w *world) {
	all := w.nodes(t, "a", "b", "c")
	a, b, c := all[0], all[1], all[2]
	for _, m := range []*member{a, c} {
		for _, i := range []core.Interest{
			{Name: "m/x"}, pattern("m/x", ""), pattern("m/+", ""), pattern("m/#", ""), pattern("#", ""), pattern("+/x", ""), pattern("x", "m/"), pattern("#", "m"),
		} {
			w.hears(t, m, b, i, "m/x")
		}
	}
	before := make(map[*member]int)
	for _, m := range []*member{a, c} {
		w.synced(t, b, m) // what has been tried for the other one has come too
		before[m] = len(m.got("m/x"))
	}
	const n = 200
	for i := range n {
		b.Publish([]byte("m/x"), text("%d", i), nil)
	}
	for m, had := range before {
		w.synced(t, b, m)
		got := m.got("m/x")[had:]
		if len(got) != n {
			t.Errorf("%s got %d messages, want %d", m.name, len(got), n)
		}
		for i, message := range got {
			if string(message.Payload.Data) != fmt.Sprint(i) {
				t.Fatalf("%s got %q as message %d", m.name, message.Payload.Data, i)
			}
		}
	}
}

// testEcho: what a node publishes does not come back to it.
func testEcho(t *testing.T, w *world) {
	all := w.nodes(t, "a", "b")
	a, b := all[0], all[1]
	w.hears(t, a, b, pattern("e/#", ""), "e/x")
	w.hears(t, b, a, pattern("e/#", ""), "e/y")
	for i := range 100 {
		b.Publish([]byte("e/mine"), text("%d", i), nil)
	}
	w.synced(t, b, a)
	w.synced(t, a, b)
	if got := a.got("e/mine"); len(got) != 100 {
		t.Errorf("a got %d messages, want 100", len(got))
	}
	if got := b.got("e/mine"); len(got) != 0 {
		t.Errorf("b got %d of its own messages", len(got))
	}
}

// testOrder: the messages of one goroutine come in their order, over all topics.
func testOrder(t *testing.T, w *world) {
	all := w.nodes(t, "a", "b", "c")
	a := all[0]
	interests := []core.Interest{pattern("o/+/odd", ""), pattern("#", "o/even/")}
	for i := range 20 {
		interests = append(interests, core.Interest{Name: fmt.Sprint("o/topic/", i)})
	}
	const publishers, n = 3, 2000
	topic := func(i int) string {
		switch i % 3 {
		case 0:
			return fmt.Sprintf("o/%d/odd", i)
		case 1:
			return fmt.Sprintf("o/even/%d", i)
		}
		return fmt.Sprint("o/topic/", i%20)
	}
	for i := range interests {
		interests[i].On = true
	}
	a.Hear(interests)
	for _, from := range all[1:] {
		for i := range 22 {
			topic := []string{"o/x/odd", "o/even/x"}[i%2]
			if i > 1 {
				topic = fmt.Sprint("o/topic/", i-2)
			}
			before := len(a.got(topic))
			coretest.Eventually(t, "all interests are known", func() bool {
				from.Publish([]byte(topic), text("probe"), nil)
				return len(a.got(topic)) > before
			})
		}
		w.synced(t, from, a)
	}
	before := len(a.gotAll("o/"))
	var publishing sync.WaitGroup
	for _, from := range all[1:] {
		for p := range publishers {
			publishing.Go(func() {
				for i := range n {
					from.Publish([]byte(topic(i)), text("%s %d %d", from.name, p, i), nil)
				}
			})
		}
	}
	publishing.Wait()
	for _, from := range all[1:] {
		w.synced(t, from, a)
	}
	next := map[string]int{}
	for _, m := range a.gotAll("o/")[before:] {
		var name string
		var p, i int
		if _, err := fmt.Sscanf(string(m.Payload.Data), "%s %d %d", &name, &p, &i); err != nil {
			t.Fatalf("%q: %v", m.Payload.Data, err)
		}
		who := fmt.Sprint(name, p)
		if i != next[who] {
			t.Fatalf("of %s, message %d came where %d was expected", who, i, next[who])
		}
		next[who]++
	}
	for _, from := range all[1:] {
		for p := range publishers {
			if got := next[fmt.Sprint(from.name, p)]; got != n {
				t.Errorf("of publisher %d of %s %d messages came, want %d", p, from.name, got, n)
			}
		}
	}
}

// testNames: every topic arrives as it is.
func testNames(t *testing.T, w *world) {
	all := w.nodes(t, "a", "b")
	a, b := all[0], all[1]
	names := []string{
		"", "/", "//", "a/", "/a", "a//b", "$x/y", "$SYS.REQ", "a b", " ", "a.b", ".", "..", "a.", "*", ">", "a/*/>", "%", "%20", "100%", "%2E", "+", "#", "+/#",
		"Grüße/世界/😀", "a\x00b", "a\r\nb", "\t", "\x7f", "\u0085\u00a0", "'\"\\", "a,b;c", "=", "=2E", strings.Repeat("l/", 100) + "l", strings.Repeat("x", 1000),
	}
	for _, name := range names {
		w.hears(t, a, b, core.Interest{Name: name}, name)
	}
	before := make(map[string]int)
	for _, name := range names {
		before[name] = len(a.got(name))
	}
	for _, name := range names {
		b.Publish([]byte(name), text("of %q", name), nil)
	}
	w.synced(t, b, a)
	for _, name := range names {
		if got := a.got(name)[before[name]:]; len(got) != 1 || string(got[0].Payload.Data) != fmt.Sprintf("of %q", name) {
			t.Errorf("on %q came %v", name, got)
		}
	}
}

// payloads are those that a backplane passes on as they are.
func payloads() map[string]core.Payload {
	return map[string]core.Payload{
		"JSON":                    {Kind: core.JSON, Data: []byte(` {"b": 1.50, "a": [1e400, "\u00fc"]} `)},
		"a JSON string":           {Kind: core.JSON, Data: []byte(`"x"`)},
		"null":                    {Kind: core.JSON, Data: []byte(`null`)},
		"text":                    {Kind: core.Text, Data: []byte("héllo\r\n\x00")},
		"text that reads as JSON": {Kind: core.Text, Data: []byte("5")},
		"empty text":              {Kind: core.Text, Data: []byte{}},
		"binary":                  {Kind: core.Binary, Data: []byte{0, 0xff, 0xfe}},
		"binary that is UTF-8":    {Kind: core.Binary, Data: []byte("hello")},
		"binary that is JSON":     {Kind: core.Binary, Data: []byte(`{"a":1}`)},
		"empty binary":            {Kind: core.Binary, Data: []byte{}},
		"absent":                  {},
		"UTF-16":                  core.TextUTF16(core.AppendUTF16(nil, []byte("wide 😀"))),
		"UTF-16 that is JSON":     core.TextUTF16(core.AppendUTF16(nil, []byte("[1]"))),
		"half a surrogate pair":   core.TextUTF16([]byte{0x3d, 0xd8, 'a', 0}),
		"large":                   {Kind: core.Binary, Data: append([]byte{0xff}, make([]byte, 500_000)...)},
	}
}

// same reports whether two payloads are the same; without bytes there is no difference
// between none and nil.
func same(a, b core.Payload) bool {
	normal := func(p core.Payload) core.Payload {
		if len(p.Data) == 0 {
			p.Data = nil
		}
		if len(p.UTF16) == 0 {
			p.UTF16 = nil
		}
		return p
	}
	return reflect.DeepEqual(normal(a), normal(b))
}

// testPayloads: every payload arrives as it is, and so do headers.
func testPayloads(t *testing.T, w *world) {
	all := w.nodes(t, "a", "b")
	a, b := all[0], all[1]
	for _, headers := range []string{"", `{}`, `{"a":"b","ü":"\"x\"\n"}`} {
		topic := "kinds/" + unique()
		w.hears(t, a, b, core.Interest{Name: topic}, topic)
		for name, p := range payloads() {
			before := len(a.got(topic))
			b.Publish([]byte(topic), p, []byte(headers))
			w.synced(t, b, a)
			got := a.got(topic)[before:]
			want, headers := p, headers
			if w.bare {
				headers = ""
				if p.UTF16 != nil {
					want = core.TextUTF16(core.AppendUTF16(nil, p.Data))
				}
			}
			if len(got) != 1 || !same(got[0].Payload, want) || got[0].Headers != headers {
				t.Errorf("%s with headers %q came as %.200v", name, headers, got)
			}
		}
	}
}

// testManyInterests: a node that hears many topics joins, and hears them all.
func testManyInterests(t *testing.T, w *world) {
	all := w.nodes(t, "a", "b")
	a, b := all[0], all[1]
	const n = 100_000
	interests := make([]core.Interest, n)
	for i := range interests {
		interests[i] = core.Interest{Name: fmt.Sprintf("many/%d/x", i), On: true}
	}
	a.Hear(interests)
	last := interests[n-1].Name
	coretest.Eventually(t, "the last of many topics is heard", func() bool {
		b.Publish([]byte(last), text("x"), nil)
		return len(a.got(last)) > 0
	})
	// On a busy machine a node may lose its connection meanwhile, and messages with it: what does not
	// come is said again, and nothing comes more often than it was said.
	said := make(map[string]int)
	coretest.Eventually(t, "each topic that is looked at is heard", func() bool {
		missing := 0
		for i := 0; i < n; i += 997 {
			if name := interests[i].Name; len(a.got(name)) == 0 {
				missing++
				said[name]++
				b.Publish([]byte(name), text("%d", i), nil)
			}
		}
		w.synced(t, b, a)
		return missing == 0
	})
	for name, times := range said {
		if got := len(a.got(name)); got > times {
			t.Errorf("on %q came %d messages, of %d", name, got, times)
		}
	}
	for i := range interests {
		interests[i].On = false
	}
	a.Hear(interests)
	coretest.Eventually(t, "no topic is heard any more", func() bool {
		w.synced(t, b, a)
		before := len(a.gotAll("many/"))
		b.Publish([]byte(last), text("x"), nil)
		w.synced(t, b, a)
		return len(a.gotAll("many/")) == before
	})
}
