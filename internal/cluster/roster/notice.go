package roster

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/polywire/polywire/core"
)

// notice is what a node tells the others about itself, as JSON. hello, bye and services go to
// all nodes, state to one that has asked.
type notice struct {
	Type string      `json:"type"`
	Node core.NodeID `json:"node"`
	// Name and Up, for how many milliseconds the node runs, are in a hello.
	Name string `json:"name,omitempty"`
	Up   int64  `json:"up,omitempty"`
	// Changes is how many services notices the node has sent, this one included: who has missed
	// one sees it. In a state it says up to which one the state is.
	Changes uint64 `json:"changes"`
	// On and Off are services; those of a state are all in On.
	On  []string `json:"on,omitempty"`
	Off []string `json:"off,omitempty"`
	// Part counts the parts of a state from 0; Last marks the last one.
	Part int  `json:"part,omitempty"`
	Last bool `json:"last,omitempty"`
}

const (
	noticeHello    = "hello"
	noticeBye      = "bye"
	noticeServices = "services"
	noticeState    = "state"

	// noticeBytes is about how many bytes of services we write into a notice; maxNotice bounds
	// what we read.
	noticeBytes = 32 << 10
	maxNotice   = 1 << 20
	// maxNode bounds the id of a node.
	maxNode = 128
)

var errNotice = errors.New("a notice that makes no sense")

// encode writes a notice.
func (n *notice) encode() []byte {
	data, err := json.Marshal(n)
	if err != nil {
		panic(fmt.Sprintf("encoding a notice: %v", err)) // it has nothing that JSON cannot say
	}
	return data
}

// decodeNotice reads a notice that anybody may have sent.
func decodeNotice(data []byte) (*notice, error) {
	if len(data) > maxNotice {
		return nil, errNotice
	}
	var n notice
	if err := json.Unmarshal(data, &n); err != nil {
		return nil, fmt.Errorf("decoding a notice: %w", err)
	}
	if !ValidNode(n.Node) || n.Part < 0 || n.Up < 0 {
		return nil, errNotice
	}
	switch n.Type {
	case noticeHello:
		if !PlainName(n.Name, ".-_", 64) {
			return nil, errNotice
		}
	case noticeBye, noticeServices, noticeState:
	default:
		return nil, errNotice
	}
	return &n, nil
}

// ValidNode reports whether an id is one that a node can have: letters, digits, dashes and
// underscores.
func ValidNode(id core.NodeID) bool { return PlainName(string(id), "-_", maxNode) }

// chunks calls f with names in groups that fit into a notice. It calls it at least once.
func chunks(names []string, f func(group []string, last bool)) {
	size, start := 0, 0
	for i, name := range names {
		if size > 0 && size+len(name) > noticeBytes {
			f(names[start:i], false)
			size, start = 0, i
		}
		size += len(name) + len(`"",`)
	}
	f(names[start:], true)
}

// NewNode returns an id for a node that starts now.
func NewNode(name string) core.NodeID {
	var random [8]byte
	_, _ = rand.Read(random[:]) // it never fails
	return core.NodeID("n-" + strings.ReplaceAll(name, ".", "_") + "-" + hex.EncodeToString(random[:]))
}

// PlainName reports whether a name has 1 to most letters, digits and characters of others.
func PlainName(name, others string, most int) bool {
	for i := range len(name) {
		c := name[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte(others, c) >= 0) {
			return false
		}
	}
	return name != "" && len(name) <= most
}
