package config

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// scalar is a leaf of the merged tree; the other nodes are map[string]any, []any and nil. Its
// fields are exported because koanf copies the tree.
type scalar struct {
	// Text is the value as written.
	Text string
	// Typed is the value as YAML reads it: a string, bool, number or time.
	Typed any
	// Flat is set for values of the environment or a flag, where lists are written with commas.
	Flat bool
}

// lists are the top-level keys whose entries can be overridden one by one; in the tree they are
// maps from "0", "1", … to the entries.
var lists = []string{"endpoints", "services", "bridges", "events"}

// file turns a YAML document into a tree and records where each key is written.
type file struct {
	*report
	lookup func(string) (string, bool)
}

// parse returns the tree of data. It reports syntax errors and goes on after
// all other faults.
func (f *file) parse(data []byte) (map[string]any, bool) {
	data = anyVersion(data)
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	err := decoder.Decode(&doc)
	if errors.Is(err, io.EOF) {
		return map[string]any{}, true
	}
	if err == nil {
		// Decode into nothing first, so that the library refuses what the walk could not survive:
		// anchors that contain themselves, and alias bombs.
		var discard any
		err = doc.Decode(&discard)
		if typed := (*yaml.TypeError)(nil); errors.As(err, &typed) {
			err = nil // duplicate keys; the walk reports them with their path
		}
	}
	if err != nil {
		f.syntax(data, err)
		return nil, false
	}
	var second yaml.Node
	if err := decoder.Decode(&second); err == nil {
		f.addAt(position{f.file, second.Line}, "", "the file holds more than one document; the one before the line --- would count, so take the rest out, and the line")
	} else if !errors.Is(err, io.EOF) {
		f.syntax(data, err)
	}
	switch tree := f.node("", doc.Content[0]).(type) {
	case map[string]any:
		return tree, true
	case nil:
		return map[string]any{}, true
	}
	f.addAt(position{f.file, doc.Content[0].Line}, "", "must be a mapping of keys such as endpoints:")
	return nil, false
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?`)

// syntax reports an error of the YAML library, whose text contains the line in data.
func (f *file) syntax(data []byte, err error) {
	text := err.Error()
	m := yamlLine.FindStringSubmatch(text)
	line, _ := strconv.Atoi(m[1])
	text = strings.TrimPrefix(text, m[0])
	if line > 0 {
		line = firstBad(data, line, text)
	}
	if line == 0 && strings.HasPrefix(text, "invalid map key") {
		// The library gives no line here.
		if before, _, found := bytes.Cut(data, []byte("{{")); found {
			line = bytes.Count(before, []byte("\n")) + 1
		}
	}
	if at, what := foreignByte(data); line == 0 && at >= 0 {
		line, text = bytes.Count(data[:at], []byte("\n"))+1, what+" ("+text+")"
	}
	if name, ok := strings.CutPrefix(text, "unknown anchor '"); ok && line == 0 {
		// Nor here. An alias is matched at the end of a word.
		alias := regexp.MustCompile(`\*` + regexp.QuoteMeta(strings.TrimSuffix(name, "' referenced")) + `(?:[\s,\]}]|$)`)
		if at := alias.FindIndex(data); at != nil {
			line = bytes.Count(data[:at[0]], []byte("\n")) + 1
		}
	}
	if hint := advice(data, max(line, 1), text); hint != "" {
		text = hint + " (" + text + ")"
	}
	f.addAt(position{f.file, line}, "", "reading YAML: %s", text)
}

// firstBad returns the line at which data stops being YAML. The library often gives the line where
// the surrounding block begins; so firstBad cuts the file shorter until the error is gone. For a
// file that is too long for that it returns said.
func firstBad(data []byte, said int, text string) int {
	lines := bytes.SplitAfter(data, []byte("\n"))
	if len(lines) > 1000 {
		return said
	}
	for n := len(lines); n > 0; n-- {
		err := yaml.Unmarshal(bytes.Join(lines[:n], nil), new(yaml.Node))
		if err == nil || !strings.HasSuffix(err.Error(), text) {
			if n == len(lines) {
				return said // the error is in a later document
			}
			return n + 1
		}
	}
	return 1
}

// node returns the tree of n, which is found at path.
func (f *file) node(path string, n *yaml.Node) any {
	if _, ok := f.written[path]; !ok && path != "" {
		f.written[path] = position{f.file, n.Line}
	}
	if !knownTag(n) {
		f.addAt(position{f.file, n.Line}, path, "has the tag %q, which means nothing here; ${NAME} is a variable of the environment", n.Tag)
		return nil
	}
	switch n.Kind {
	case yaml.AliasNode:
		return f.node(path, n.Alias)
	case yaml.MappingNode:
		return f.mapping(path, n)
	case yaml.SequenceNode:
		return f.sequence(path, n)
	}
	return f.scalar(path, n)
}

// tags are the YAML tags that values of a configuration may have.
var tags = []string{"", "!", "!!str", "!!int", "!!float", "!!bool", "!!null", "!!timestamp", "!!seq", "!!map", mergeTag}

// knownTag reports whether a value has a tag that YAML itself defines. What another program's tag
// asks for would not be done.
func knownTag(n *yaml.Node) bool {
	return n.Kind == yaml.AliasNode || slices.Contains(tags, n.ShortTag()) || slices.Contains(tags, n.Tag)
}

func (f *file) mapping(path string, n *yaml.Node) any {
	if slices.Contains(lists, path) {
		f.add(path, "%s", notAList(path, n))
		return nil
	}
	tree := make(map[string]any, len(n.Content)/2)
	f.merges(path, n, tree)
	lines := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := position{f.file, key.Line}
		if key.Kind != yaml.ScalarNode {
			f.addAt(at, path, "a key must be a plain word")
			continue
		}
		if key.Tag == mergeTag {
			continue
		}
		if path == "" && strings.HasPrefix(key.Value, "x-") {
			continue // for anchors of the file; it counts where it is used
		}
		if strings.ContainsFunc(key.Value, invisible) {
			f.addAt(at, join(path, strings.TrimFunc(key.Value, invisible)), "has a space around it that is none for YAML, such as web pages have (U+00A0); write plain ones")
			continue
		}
		child := join(path, key.Value)
		if line, ok := lines[key.Value]; ok {
			f.addAt(at, child, "is given twice, first in line %d", line)
			continue
		}
		lines[key.Value] = key.Line
		f.written[child] = at
		tree[key.Value] = f.node(child, value)
	}
	return tree
}

// notAList says what is wrong with a mapping in the place of a list: the entries have names as
// keys, or the only entry lacks its dash.
func notAList(path string, n *yaml.Node) string {
	text, name := "must be a list", "name"
	if path == "services" {
		name = "match"
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			continue
		}
		if value.Kind == yaml.MappingNode && key.Value != "options" {
			return text + `; for "` + key.Value + `:" write "- ` + name + `: ` + key.Value + `", and its keys below`
		}
		return text + `; write "- ` + key.Value + `: ` + value.Value + `", with a dash before the first key of each entry`
	}
	return text
}

// mergeTag is the tag of the key <<.
const mergeTag = "!!merge"

// merges puts into tree what n merges (<<: *anchor, or a list of them, of which the first wins);
// the keys of n itself override it.
func (f *file) merges(path string, n *yaml.Node, tree map[string]any) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Tag != mergeTag {
			continue
		}
		sources := []*yaml.Node{n.Content[i+1]}
		if sources[0].Kind == yaml.SequenceNode {
			sources = sources[0].Content
		}
		for _, source := range slices.Backward(sources) {
			if merged, ok := f.node(path, source).(map[string]any); ok {
				maps.Copy(tree, merged)
			}
		}
	}
}

func (f *file) sequence(path string, n *yaml.Node) any {
	if slices.Contains(lists, path) {
		tree := make(map[string]any, len(n.Content))
		for i, item := range n.Content {
			index := strconv.Itoa(i)
			tree[index] = f.node(join(path, index), item)
		}
		return tree
	}
	items := make([]any, len(n.Content))
	for i, item := range n.Content {
		items[i] = f.node(join(path, strconv.Itoa(i)), item)
	}
	return items
}

func (f *file) scalar(path string, n *yaml.Node) any {
	if n.Tag == "!!null" {
		return nil
	}
	s := scalar{Text: n.Value, Typed: n.Value}
	if n.Tag == "!!str" {
		text, err := interpolate(n.Value, f.lookup)
		if err != nil {
			f.addAt(position{f.file, n.Line}, path, "%s", err)
			return nil
		}
		return scalar{Text: text, Typed: text}
	}
	if err := n.Decode(&s.Typed); err != nil {
		f.addAt(position{f.file, n.Line}, path, "%s", err)
	}
	return s
}
