package shadow

import (
	"fmt"
	"strings"
	"testing"
)

// Ids are forgotten by what their texts take, too: clients can write long ones.
func TestIDsAreBounded(t *testing.T) {
	x := newIDs(maxIDs)
	const many = 2 * maxIDBytes / maxID
	for i := range many {
		id := fmt.Sprintf("%0*d", maxID, i)
		if i%2 == 0 {
			x.said(id)
			continue
		}
		fresh := strings.Replace(id, "0", "f", 1)
		x.made([]string{id})
		x.join([]string{id}, []string{fresh})
	}
	inUse := func(all map[string]string) (n int) {
		for a, b := range all {
			n += len(a) + len(b)
		}
		return n
	}
	kept := 0
	for _, id := range x.order {
		kept += len(id)
	}
	if n := inUse(x.news); n != x.bytes || n > maxIDBytes+2*maxID || n < maxIDBytes/2 {
		t.Errorf("%d bytes of ids are remembered, and %d counted", n, x.bytes)
	}
	if n := inUse(x.olds); n > maxIDBytes+2*maxID {
		t.Errorf("%d bytes of ids are remembered the other way round", n)
	}
	if kept > maxIDBytes {
		t.Errorf("%d bytes of ids are kept in order", kept)
	}
}
