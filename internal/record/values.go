package record

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
)

const (
	// maxValues bounds the variables of a recording, and maxSaid what is remembered of clients.
	maxValues = 100_000
	maxSaid   = 100_000
	// maxMembers bounds the names of members that are remembered.
	maxMembers = 10_000
	// minWithin is the shortest value that is looked for within other text.
	minWithin = 8
)

// variable stands for a value that is not written.
type variable struct {
	name string
	// captured: an expectation gives the variable its value. Otherwise the player is given it.
	captured bool
	// bare: what is captured is a text without the quotes of JSON.
	bare bool
}

// values are what the recording knows of the values that it does not write. Owned by the recorder.
type values struct {
	known map[string]variable
	names map[string]bool
	set   []string // the variables that the player has to be given
	// within finds those values that are looked for within other text by their beginnings, and may
	// is a filter before it.
	within map[[minWithin]byte][]string
	may    [1 << 16]bool
	// said are the ids and times that clients have written: a server that repeats them is compared.
	said map[string]struct{}
	// members remembers which members are credentials: most conversations have few names.
	members map[string]bool
}

func newValues() *values {
	return &values{
		known: make(map[string]variable), names: make(map[string]bool), within: make(map[[minWithin]byte][]string),
		said: make(map[string]struct{}), members: make(map[string]bool),
	}
}

// credential is the function of that name, with a memory.
func (v *values) credential(member string) bool {
	is, ok := v.members[member]
	if !ok {
		is = credential(member)
		if len(v.members) < maxMembers {
			v.members[member] = is
		}
	}
	return is
}

// full reports whether nothing more can be remembered.
func (v *values) full() bool { return len(v.known) >= maxValues }

// variable returns the variable of a value, and makes it, named after hint, if there is none: made.name
// is new then.
func (v *values) variable(value, hint string, made variable) (x variable, fresh bool) {
	if known, ok := v.known[value]; ok {
		return known, false
	}
	x = made
	x.name = v.name(hint)
	v.known[value] = x
	if !x.captured {
		v.set = append(v.set, x.name)
	}
	if foundWithin(value) {
		start := [minWithin]byte([]byte(value))
		v.within[start] = append(v.within[start], value)
		// The longest first, so that of two with the same beginning the right one is found.
		slices.SortFunc(v.within[start], func(a, b string) int { return len(b) - len(a) })
		v.may[mark(start[:])] = true
	}
	return x, true
}

// foundWithin reports whether a value is looked for within other text: not a short one, nor a word.
func foundWithin(value string) bool {
	return len(value) >= minWithin && strings.ContainsFunc(value, func(r rune) bool { return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') })
}

// given returns the variable of a value that the player is given.
func (v *values) given(value, hint string) variable {
	x, _ := v.variable(value, hint, variable{})
	return x
}

func mark(b []byte) uint16 {
	return uint16(b[0]) ^ uint16(b[1])<<5 ^ uint16(b[2])<<8 ^ uint16(b[3])<<3
}

// name makes a new name from a hint.
func (v *values) name(hint string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(hint) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0:
			b.WriteByte('_')
		}
		if b.Len() == 40 {
			break
		}
	}
	base := strings.Trim(b.String(), "_")
	if base == "" || base == "i" {
		base = "value"
	}
	name := base
	for n := 2; v.names[name]; n++ {
		name = base + "_" + strconv.Itoa(n)
	}
	v.names[name] = true
	return name
}

// say remembers what a client has written.
func (v *values) say(text string) {
	if len(v.said) < maxSaid {
		v.said[strings.Clone(text)] = struct{}{}
	}
}

func (v *values) hasSaid(text string) bool {
	_, ok := v.said[text]
	return ok
}

// formOf returns the function of scripts that turns the variable of a known UUID into text, which writes it
// in another way; "" if it does not.
func (v *values) formOf(text string) (form string, x variable) {
	plain := strings.ToLower(text)
	switch len(text) {
	case 36:
		form = "upper"
	case 32:
		form = "undashed"
		plain = plain[:8] + "-" + plain[8:12] + "-" + plain[12:16] + "-" + plain[16:20] + "-" + plain[20:]
	default:
		return "", x
	}
	x, ok := v.known[plain]
	if !ok || form == "upper" && text != strings.ToUpper(text) || form == "undashed" && text != strings.ToLower(text) {
		return "", x
	}
	return form, x
}

// news reports whether one of the places in text holds what no client has written.
func (v *values) news(text string, places [][]int) bool {
	for _, at := range places {
		if !v.hasSaid(text[at[0]:at[1]]) {
			return true
		}
	}
	return false
}

// find looks for a known value in text, from a position on.
func (v *values) find(text []byte, from int) (start, end int, x variable, ok bool) {
	if len(v.within) == 0 {
		return 0, 0, variable{}, false
	}
	for i := from; i+minWithin <= len(text); i++ {
		if !v.may[mark(text[i:])] {
			continue
		}
		for _, value := range v.within[[minWithin]byte(text[i:])] {
			if bytes.HasPrefix(text[i:], []byte(value)) {
				return i, i + len(value), v.known[value], true
			}
		}
	}
	return 0, 0, variable{}, false
}
