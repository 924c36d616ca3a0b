package polywire_test

import (
	"cmp"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestLogs compares docs/logs.md with the source: each line that the broker can log has an entry, with its level and
// the keys that its call names, and each entry has a line.
func TestLogs(t *testing.T) {
	written := linesOfSource(t)
	if len(written) < 100 {
		t.Fatalf("only %d lines were found", len(written))
	}
	documented := linesOfDocument(t)
	for _, line := range slices.SortedFunc(maps.Keys(written), loggedLine.compare) {
		keys, ok := documented[line]
		if !ok {
			t.Errorf("docs/logs.md has no entry for %q at level %s (%s)", line.message, line.level, strings.Join(written[line].where, ", "))
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(written[line].keys)) {
			if !slices.Contains(keys, key) {
				t.Errorf("docs/logs.md does not say that %q has the key %s (%s)", line.message, key, strings.Join(written[line].where, ", "))
			}
		}
	}
	for _, line := range slices.SortedFunc(maps.Keys(documented), loggedLine.compare) {
		if _, ok := written[line]; !ok {
			t.Errorf("docs/logs.md has %q at level %s, which nobody logs", line.message, line.level)
		}
	}
}

// loggedLine is a line that the broker can log.
type loggedLine struct{ message, level string }

func (l loggedLine) compare(other loggedLine) int {
	return cmp.Or(cmp.Compare(l.message, other.message), cmp.Compare(l.level, other.level))
}

// entryOfLine matches a row of docs/logs.md: the message, the level and the keys.
var entryOfLine = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| ([a-z]+) \\| ([^|]*)\\|")

// linesOfDocument returns the lines that docs/logs.md has, with their keys.
func linesOfDocument(t *testing.T) map[loggedLine][]string {
	t.Helper()
	text, err := os.ReadFile("docs/logs.md")
	if err != nil {
		t.Fatal(err)
	}
	lines := make(map[loggedLine][]string)
	for _, m := range entryOfLine.FindAllStringSubmatch(string(text), -1) {
		var keys []string
		for _, key := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(m[3], -1) {
			keys = append(keys, key[1])
		}
		line := loggedLine{m[1], m[2]}
		if _, twice := lines[line]; twice {
			t.Errorf("docs/logs.md has %q at level %s twice", line.message, line.level)
		}
		lines[line] = keys
	}
	return lines
}

// notOfBroker are folders whose programs write no lines of the broker's: those of other programs, and of the processes
// of plugins, whose output the broker logs as "plugin says".
var notOfBroker = []string{
	"bench", "client", "clients", "conversations", "core/coretest", "examples", "internal/matrix", "internal/record", "internal/relay",
	"internal/shadow", "plugin/codecpb", "plugin/sdk", "plugin/verify", "polywiretest", "soak", "tools",
}

// foundLine is where a line is logged, and the keys that the calls name.
type foundLine struct {
	where []string
	keys  map[string]bool
}

// linesOfSource finds the calls of slog, by the names of its methods.
func linesOfSource(t *testing.T) map[loggedLine]foundLine {
	t.Helper()
	found := make(map[loggedLine]foundLine)
	folders := make(map[string][]string)
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (slices.Contains(notOfBroker, path) || path != "." && strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || strings.HasSuffix(d.Name(), "test")):
			return filepath.SkipDir
		case strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go"):
			folders[filepath.Dir(path)] = append(folders[filepath.Dir(path)], path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, files := range folders {
		p := newLogPackage(t, files)
		for _, f := range p.files {
			for _, d := range f.Decls {
				p.find(t, d, found)
			}
		}
	}
	return found
}

// logPackage is a package whose log lines are looked for.
type logPackage struct {
	set    *token.FileSet
	files  []*ast.File
	consts map[string]string // constants that are texts
}

func newLogPackage(t *testing.T, files []string) *logPackage {
	t.Helper()
	p := &logPackage{set: token.NewFileSet(), consts: make(map[string]string)}
	for _, path := range files {
		f, err := parser.ParseFile(p.set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		p.files = append(p.files, f)
		for _, d := range f.Decls {
			if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.CONST {
				for _, s := range g.Specs {
					for i, v := range s.(*ast.ValueSpec).Values {
						if text, ok := literal(v); ok {
							p.consts[s.(*ast.ValueSpec).Names[i].Name] = text
						}
					}
				}
			}
		}
	}
	return p
}

// find notes the lines that a function, or another declaration, logs.
func (p *logPackage) find(t *testing.T, within ast.Decl, found map[loggedLine]foundLine) {
	ast.Inspect(within, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		level, message, keys := logCall(call)
		if message == nil {
			return true
		}
		where := p.set.Position(call.Pos()).String()
		texts := p.texts(within, message)
		if len(texts) == 0 {
			t.Errorf("%s: what is logged has no message that can be found; it must be a literal, or given to the function as one", where)
		}
		for _, text := range texts {
			line := loggedLine{text, level}
			at, ok := found[line]
			if !ok {
				at.keys = make(map[string]bool)
			}
			at.where = append(at.where, where)
			for _, key := range keys {
				at.keys[key] = true
			}
			found[line] = at
		}
		return true
	})
}

// texts returns what a message can be: a literal, a constant, or what the callers of the function give it.
func (p *logPackage) texts(within ast.Decl, message ast.Expr) []string {
	if text, ok := literal(message); ok {
		return []string{text}
	}
	name, ok := message.(*ast.Ident)
	if !ok {
		return nil
	}
	if text, ok := p.consts[name.Name]; ok {
		return []string{text}
	}
	fn, ok := within.(*ast.FuncDecl)
	if !ok {
		return nil
	}
	index, i := -1, 0
	for _, field := range fn.Type.Params.List {
		for _, param := range field.Names {
			if param.Name == name.Name {
				index = i
			}
			i++
		}
	}
	if index < 0 {
		return nil
	}
	var all []string
	for _, f := range p.files {
		ast.Inspect(f, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok && called(call) == fn.Name.Name && len(call.Args) > index {
				if text, ok := literal(call.Args[index]); ok {
					all = append(all, text)
				}
			}
			return true
		})
	}
	return all
}

// called returns the name of what is called.
func called(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.SelectorExpr:
		return f.Sel.Name
	case *ast.Ident:
		return f.Name
	}
	return ""
}

// logCall returns the level, the message and the keys of a call that logs a line; message is nil if it is none.
func logCall(call *ast.CallExpr) (level string, message ast.Expr, keys []string) {
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return "", nil, nil
	}
	args := call.Args
	name, withContext := strings.CutSuffix(f.Sel.Name, "Context")
	switch {
	case slices.Contains([]string{"Debug", "Info", "Warn", "Error"}, name):
		level = strings.ToLower(name)
	case (name == "Log" || name == "LogAttrs" || name == "NewRecord") && len(args) >= 3:
		withContext = true // or the time of a record
		level = "any"
		if l, ok := args[1].(*ast.SelectorExpr); ok {
			level = strings.ToLower(strings.TrimPrefix(l.Sel.Name, "Level"))
		}
		args = args[1:]
	default:
		return "", nil, nil
	}
	if withContext && len(args) > 0 {
		args = args[1:]
	}
	// http.Error, and INFO of Redis, are called like lines.
	of := ""
	switch x := f.X.(type) {
	case *ast.Ident:
		of = x.Name
	case *ast.SelectorExpr:
		of = x.Sel.Name
	}
	if len(args) == 0 || of == "http" || of == "client" {
		return "", nil, nil
	}
	return level, args[0], keysOf(args[1:])
}

// keysOf returns the keys that are named in the arguments behind a message.
func keysOf(args []ast.Expr) (keys []string) {
	for i := 0; i < len(args); i++ {
		if key, ok := literal(args[i]); ok {
			keys = append(keys, key)
			i++ // its value
			continue
		}
		ast.Inspect(args[i], func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			f, _ := call.Fun.(*ast.SelectorExpr)
			if f == nil || len(call.Args) < 2 {
				return true
			}
			if of, ok := f.X.(*ast.Ident); !ok || of.Name != "slog" && !(of.Name == "logging" && f.Sel.Name == "Quoted") {
				return true
			}
			if key, ok := literal(call.Args[0]); ok {
				keys = append(keys, key)
			}
			return false
		})
	}
	return keys
}

// literal returns the value of a literal text.
func literal(e ast.Expr) (string, bool) {
	l, ok := e.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(l.Value)
	return text, err == nil
}
