package polywire_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// module is the prefix of our own import paths.
const module = "github.com/polywire/polywire"

// rule says what the packages of one part of the tree may import. The table below is that of
// ARCHITECTURE.md: imports point one way, and packages side by side do not know one another.
type rule struct {
	// packages is a path below the module, "." for the root; a last element ... means the folder
	// and everything below it.
	packages string
	// allow lists what they may import besides the standard library, in the same notation. A path
	// whose first element has a dot is in another module.
	allow []string
	// testing allows package testing.
	testing bool
	// why says what the rule protects; a violation prints it.
	why string
}

// rules are read from the top; the first that matches a package counts.
var rules = []rule{
	{packages: "core/rawjson", why: "JSON text is cut and joined with the standard library alone"},
	{packages: "core", allow: []string{"core/rawjson", "github.com/google/uuid"}, why: "the language changes for no library's sake"},
	{packages: "core/coretest", allow: []string{"core", "go.uber.org/goleak"}, testing: true, why: "what tests share knows none of the rooms that they are in"},
	{packages: "internal/certs", why: "keys and certificates are for crypto/tls alone to use"},
	{packages: "internal/certs/certstest", testing: true, why: "the certificates of tests are made from nothing"},
	{packages: "core/logging", why: "every room may log, so the log knows no room"},
	{packages: "core/timers", why: "time is a matter of the standard library alone"},
	{packages: "core/engine", allow: []string{"core", "core/logging", "core/timers"}, why: "who hears what is decided without sockets and wire formats"},
	{
		packages: "core/network",
		allow: []string{
			"core", "core/logging", "core/timers", "sockets", "github.com/panjf2000/gnet/v2/...", "github.com/gobwas/ws/...", "github.com/gobwas/httphead",
			"github.com/klauspost/compress/flate", "golang.org/x/sys/...", "github.com/pires/go-proxyproto",
			"github.com/KimMachineGun/automemlimit/memlimit",
		},
		why: "network and engine meet only through core's ports, and every library here can stop a loop",
	},
	{
		packages: "sockets", allow: []string{"github.com/coreos/go-systemd/v22/activation", "golang.org/x/sys/unix"},
		why: "who listens where, and after whom, is a matter of the operating system alone",
	},
	{packages: "internal/sessions", allow: []string{"core", "core/logging", "core/rawjson"}, why: "a store of sessions is a folder or a map: it knows no engine and no format"},
	{packages: "internal/cluster/claims", allow: []string{"core", "internal/cluster/roster"}, why: "who gets a channel does not depend on what keeps the register"},
	{packages: "internal/cluster/roster", allow: []string{"core", "core/logging"}, why: "who is in the cluster does not depend on what joins it"},
	{packages: "internal/cluster/frame", allow: []string{"core", "internal/cluster/roster"}, why: "what nodes say to each other does not depend on what carries it"},
	{packages: "internal/cluster/places", allow: []string{"core", "core/logging", "core/rawjson", "internal/cluster/roster"}, why: "what is counted over all nodes does not depend on what joins them"},
	{
		packages: "internal/cluster/redis",
		allow:    []string{"core", "core/logging", "core/rawjson", "internal/certs", "internal/cluster/claims", "internal/cluster/frame", "internal/cluster/roster", "internal/cluster/places", "github.com/redis/go-redis/v9"},
		why:      "a backplane knows its engine and core's ports, and nothing of what is published",
	},
	{
		packages: "internal/cluster/nats",
		allow:    []string{"core", "core/logging", "core/rawjson", "internal/certs", "internal/cluster/claims", "internal/cluster/frame", "internal/cluster/roster", "internal/cluster/places", "github.com/nats-io/nats.go/...", "github.com/nats-io/nkeys", "github.com/nats-io/nats-server/v2/..."},
		why:      "a backplane knows its engine and core's ports, and nothing of what is published",
	},
	{packages: "internal/cluster/clustertest", allow: []string{"core", "core/coretest", "internal/cluster/places"}, testing: true, why: "the suite of all backplanes knows none of them"},
	{packages: "codecs/...", allow: []string{"core", "core/rawjson", "github.com/google/uuid"}, why: "a codec is bytes in, commands out: no socket, no engine, no other codec"},
	{packages: "client", allow: []string{"core", "github.com/gobwas/ws/..."}, why: "a client speaks to any server, so it knows none"},
	{packages: "internal/bridge", allow: []string{"core", "core/logging", "client"}, why: "a bridge is a link of the engine and a client of an old server, and knows neither sockets nor formats"},
	{packages: "internal/matrix", allow: []string{"core", "core/rawjson", "client", "config"}, why: "what formats carry is asked of formats, and of no broker"},
	{
		packages: "internal/httpclient", allow: []string{"github.com/sony/gobreaker/v2"},
		why: "settings of HTTP clients know nothing of what is asked",
	},
	{
		packages: "internal/tracing",
		allow:    []string{"core", "core/logging", "go.opentelemetry.io/otel/...", "google.golang.org/grpc/credentials"},
		why:      "spans are recorded of what core's ports tell, and of nothing else",
	},
	{
		packages: "internal/auth",
		allow: []string{
			"core", "core/logging", "core/rawjson", "internal/httpclient", "github.com/go-jose/go-jose/v4/...", "github.com/hashicorp/golang-lru/v2",
			"github.com/sony/gobreaker/v2", "golang.org/x/sync/singleflight",
		},
		why: "who a client is and what it may do is judged without formats and sockets",
	},
	{
		packages: "internal/upstream", allow: []string{"core", "core/logging", "core/rawjson", "internal/httpclient", "github.com/sony/gobreaker/v2"},
		why: "a service that asks a server is a handler like any other",
	},
	{
		packages: "internal/events", allow: []string{"core", "core/logging", "internal/httpclient"},
		why: "who is told what clients do does not touch what they do",
	},
	{
		packages: "plugin/contract",
		allow:    []string{"core", "github.com/hashicorp/go-plugin", "google.golang.org/grpc/...", "google.golang.org/protobuf/..."},
		why:      "the contract is what host and SDK have in common, and no more",
	},
	{packages: "plugin/codecpb", allow: []string{"google.golang.org/grpc/...", "google.golang.org/protobuf/..."}, why: "it is generated"},
	{
		packages: "plugin/sdk",
		allow: []string{
			"core", "plugin/contract", "plugin/codecpb", "github.com/hashicorp/go-plugin", "github.com/hashicorp/go-hclog",
			"google.golang.org/grpc/...", "github.com/go-viper/mapstructure/v2",
		},
		why: "who writes a plugin gets the language, and nothing of the broker",
	},
	{
		packages: "plugin",
		allow: []string{
			"core", "core/logging", "core/rawjson", "plugin/contract", "plugin/codecpb", "github.com/hashicorp/go-plugin", "github.com/hashicorp/go-hclog",
			"google.golang.org/grpc/...", "google.golang.org/protobuf/...",
		},
		why: "a plugin is a format like any other; it knows no sockets and no engine",
	},
	{
		packages: "plugin/verify",
		allow: []string{
			".", "core", "config", "conversations", "conversations/stage", "plugin", "plugin/contract", "plugin/codecpb",
			"github.com/gobwas/ws", "google.golang.org/protobuf/proto",
		},
		why: "a plugin is verified from outside, as a broker and its clients see it",
	},
	{packages: "examples/plugins/...", allow: []string{".", "core", "core/rawjson", "plugin/sdk"}, why: "a plugin in Go needs the SDK alone"},
	{packages: "internal/admin", allow: []string{"core", "core/logging", "github.com/agnivade/levenshtein", "github.com/prometheus/client_golang/...", "github.com/prometheus/client_model/go"}, why: "metrics are read from core's counters"},
	{
		packages: "config",
		allow: []string{
			"core", "internal/certs", "github.com/knadh/koanf/...", "github.com/go-viper/mapstructure/v2", "go.yaml.in/yaml/v3",
			"github.com/agnivade/levenshtein", "golang.org/x/net/idna",
		},
		why: "the configuration is one struct; assembly makes the rooms that it describes",
	},
	{packages: "internal/relay", allow: []string{"github.com/gobwas/ws/..."}, why: "who passes bytes on knows none who look at them"},
	{packages: "internal/record", allow: []string{"core", "internal/relay", "github.com/gobwas/ws/..."}, why: "what passes between a client and a server is recorded without speaking to either"},
	{packages: "internal/shadow", allow: []string{"core", "core/rawjson", "internal/record", "internal/relay", "github.com/gobwas/ws/..."}, why: "who compares two servers knows neither"},
	{packages: "conversations", allow: []string{"github.com/gobwas/ws/..."}, why: "the player speaks to any server, so it knows none"},
	{packages: "conversations/stage", allow: []string{".", "config", "conversations"}, why: "a stage is a broker as its users have it"},
	{packages: "soak", why: "it is a test, of the broker as its users have it"},
	{
		packages: "internal/assembly",
		allow:    []string{"core", "core/engine", "core/network", "codecs/...", "internal/auth", "internal/admin", "internal/certs", "config", "internal/events", "internal/sessions", "internal/tracing", "internal/upstream", "plugin", "client", "internal/bridge", "internal/cluster/nats", "internal/cluster/redis", "github.com/google/uuid"},
		why:      "what is made of a configuration knows all rooms, and not the broker that it is made for",
	},
	{
		packages: ".",
		allow:    []string{"internal/assembly", "core", "core/logging", "internal/admin", "internal/matrix", "config", "sockets", "github.com/prometheus/client_golang/prometheus"},
		why:      "the root is what programs see of a broker; what serves is made in assembly",
	},
	{packages: "polywiretest", allow: []string{".", "core", "client", "config", "sockets"}, testing: true, why: "what programs test themselves with knows no more of the broker than they do"},
	{packages: "examples/...", allow: []string{".", "core", "config"}, why: "an example needs no more than its readers have"},
	{
		packages: "cmd/...",
		allow: []string{
			".", "core", "client", "config", "conversations", "conversations/stage", "internal/matrix", "plugin", "plugin/verify", "internal/record", "internal/shadow", "sockets",
			"github.com/coreos/go-systemd/v22/daemon", "github.com/google/uuid", "github.com/spf13/cobra/...", "github.com/spf13/pflag",
		},
		why: "the command line is thin: what it does, the root can do",
	},
}

// testRule is added to every rule for test files: a test uses the real part that a user would use,
// instead of a mock, and a real client to speak to it.
var testRule = rule{
	testing: true,
	allow: []string{
		".", "polywiretest", "core/...", "client", "internal/cluster/clustertest", "internal/cluster/places", "codecs/...", "internal/auth", "internal/admin", "internal/certs/...", "config", "conversations/...", "internal/matrix", "plugin/...", "internal/sessions", "sockets",
		"github.com/gobwas/ws/...", "github.com/gobwas/httphead",
		"github.com/hashicorp/go-plugin", "google.golang.org/grpc", "google.golang.org/protobuf/proto", // plugins without the SDK
		"go.opentelemetry.io/proto/otlp/...", "google.golang.org/grpc/metadata", // a collector of traces
		"github.com/nats-io/nats-server/v2/server", "github.com/nats-io/jwt/v2", "github.com/google/uuid", "go.yaml.in/yaml/v3",
		"golang.org/x/sys/unix",                                   // network namespaces
		"github.com/getkin/kin-openapi/...",                       // the description of the admin API
		"github.com/prometheus/client_golang/prometheus/promhttp", // a program's own page of metrics
		"github.com/prometheus/client_golang/prometheus/testutil/promlint",
	},
}

// goPackage is a package as `go list -json` prints it.
type goPackage struct {
	ImportPath, Name, Doc              string
	GoFiles                            []string
	Imports, TestImports, XTestImports []string
}

// TestImports checks the real packages against the rules.
func TestImports(t *testing.T) {
	packages := list(t)
	if len(packages) < 2 {
		t.Fatalf("go list found %d packages; is this the module's root?", len(packages))
	}
	for _, v := range violations(packages) {
		t.Error(v)
	}
	for _, r := range stale(rules, packages) {
		t.Errorf("no package matches the rule for %s", r)
	}
}

// TestPackageDocs checks that every package has a package comment.
func TestPackageDocs(t *testing.T) {
	for _, p := range undocumented(list(t)) {
		t.Errorf("%s has no package comment", p)
	}
}

// TestModules checks the four go.mod files: a build of this module must use exactly the code that
// its requirements name, and the broker must not depend on its peers, clients and tools.
func TestModules(t *testing.T) {
	for _, dir := range []string{".", "bench", "clients", "tools"} {
		cmd := exec.Command("go", "mod", "edit", "-json")
		cmd.Dir = dir
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("reading go.mod in %s: %v", dir, err)
		}
		faults, err := modFaults(out)
		if err != nil {
			t.Fatalf("reading go.mod in %s: %v", dir, err)
		}
		for _, f := range faults {
			t.Errorf("%s/go.mod: %s", dir, f)
		}
	}
}

// TestImportTable: the table of ARCHITECTURE.md matches the rules.
func TestImportTable(t *testing.T) {
	text, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "\n## Who may import whom\n")
	_, rest, _ = strings.Cut(rest, "\n| --- | --- |\n")
	var got []string
	for line := range strings.Lines(rest) {
		if !strings.HasPrefix(line, "|") {
			break
		}
		got = append(got, strings.TrimSpace(line))
	}
	want := importTable(rules)
	for _, line := range missing(want, got) {
		t.Errorf("ARCHITECTURE.md lacks the line\n%s", line)
	}
	for _, line := range missing(got, want) {
		t.Errorf("no rule says what ARCHITECTURE.md does:\n%s", line)
	}
}

// importTable returns the lines of the table for rules, in their order.
func importTable(rules []rule) []string {
	lines := make([]string, len(rules))
	for i, r := range rules {
		may := "the standard library"
		if len(r.allow) > 0 {
			may = "`" + strings.Join(r.allow, "`, `") + "`"
		}
		lines[i] = fmt.Sprintf("| `%s` | %s |", r.packages, strings.ReplaceAll(may, "`github.com/", "`"))
	}
	return lines
}

// missing returns the lines that are not in others.
func missing(lines, others []string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return slices.Contains(others, line) })
}

// list returns the packages of the module.
func list(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Name,Doc,GoFiles,Imports,TestImports,XTestImports", "./...").Output()
	if err != nil {
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		t.Fatalf("listing packages: %v", err)
	}
	var packages []goPackage
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatalf("decoding package list: %v", err)
		}
		packages = append(packages, p)
	}
}

// violations returns one line for every import that no rule allows.
func violations(packages []goPackage) []string {
	var found []string
	for _, p := range packages {
		name := relative(p.ImportPath)
		r := ruleFor(name)
		if r == nil {
			found = append(found, name+": no rule says what it may import; add one, with its reason")
			continue
		}
		for _, imported := range p.Imports {
			if !r.allows(name, imported) {
				found = append(found, fmt.Sprintf("%s imports %s: %s", name, relative(imported), r.why))
			}
		}
		for _, imported := range slices.Concat(p.TestImports, p.XTestImports) {
			if !r.allows(name, imported) && !testRule.allows(name, imported) {
				found = append(found, fmt.Sprintf("a test of %s imports %s: %s", name, relative(imported), r.why))
			}
		}
	}
	return found
}

// stale returns the rules that are the first match of no package: packages that move away would
// escape their rule.
func stale(rules []rule, packages []goPackage) []string {
	var found []string
	for i := range rules {
		used := slices.ContainsFunc(packages, func(p goPackage) bool { return ruleFor(relative(p.ImportPath)) == &rules[i] })
		if !used {
			found = append(found, rules[i].packages)
		}
	}
	return found
}

func ruleFor(name string) *rule {
	for i := range rules {
		if matches(rules[i].packages, name) {
			return &rules[i]
		}
	}
	return nil
}

// allows reports whether a package under the rule may import another one.
func (r *rule) allows(name, imported string) bool {
	if imported == "testing" || strings.HasPrefix(imported, "testing/") {
		return r.testing
	}
	target := relative(imported)
	if standard(imported) {
		return imported != "C"
	}
	if target == name {
		return true
	}
	return slices.ContainsFunc(r.allow, func(pattern string) bool { return matches(pattern, target) })
}

// standard reports whether an import path belongs to the standard library: only there the first
// element has no dot.
func standard(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}

// relative returns the path below the module, "." for its root; a path of another module is
// returned unchanged.
func relative(importPath string) string {
	if importPath == module {
		return "."
	}
	return strings.TrimPrefix(importPath, module+"/")
}

func matches(pattern, name string) bool {
	if folder, ok := strings.CutSuffix(pattern, "/..."); ok {
		return name == folder || strings.HasPrefix(name, folder+"/")
	}
	return pattern == name
}

// undocumented returns the packages without a package comment. A folder with only tests needs none.
func undocumented(packages []goPackage) []string {
	var names []string
	for _, p := range packages {
		if len(p.GoFiles) > 0 && strings.TrimSpace(p.Doc) == "" {
			names = append(names, p.ImportPath)
		}
	}
	return names
}

// modFaults returns what is wrong with a go.mod, given as `go mod edit -json` prints it.
func modFaults(modJSON []byte) ([]string, error) {
	var mod struct {
		Module  struct{ Path string }
		Require []struct{ Path string }
		Replace []struct{ Old struct{ Path string } }
	}
	if err := json.Unmarshal(modJSON, &mod); err != nil {
		return nil, fmt.Errorf("decoding go.mod: %w", err)
	}
	var faults []string
	for _, r := range mod.Replace {
		faults = append(faults, "replaces "+r.Old.Path+": who imports the module would get other code")
	}
	if mod.Module.Path != module {
		return faults, nil
	}
	for _, peer := range []string{"github.com/gorilla/websocket", "github.com/coder/websocket", "github.com/lxzan/gws", "github.com/golangci/golangci-lint/v2"} {
		for _, r := range mod.Require {
			if r.Path == peer {
				faults = append(faults, "requires "+peer+": peers, clients and tools have modules of their own")
			}
		}
	}
	return faults, nil
}

// TestViolations checks that the check can fail: each made-up package is valid or wrong in one way.
func TestViolations(t *testing.T) {
	const own = module + "/"
	tests := []struct {
		name string
		pkg  goPackage
		want string // part of the one violation, "" for none
	}{
		{"core may import std", goPackage{ImportPath: own + "core", Imports: []string{"net/http"}}, ""},
		{"core imports a library", goPackage{ImportPath: own + "core", Imports: []string{"github.com/gobwas/ws"}}, "core imports github.com/gobwas/ws"},
		{"core imports upwards", goPackage{ImportPath: own + "core", Imports: []string{own + "core/engine"}}, "core imports core/engine"},
		{"core may import rawjson", goPackage{ImportPath: own + "core", Imports: []string{own + "core/rawjson"}}, ""},
		{"core imports the root", goPackage{ImportPath: own + "core", Imports: []string{module}}, "core imports ."},
		{"rawjson imports core", goPackage{ImportPath: own + "core/rawjson", Imports: []string{own + "core"}}, "core/rawjson imports core"},
		{"rawjson is no prefix", goPackage{ImportPath: own + "core/rawjson2"}, "no rule"},
		{"engine may import core", goPackage{ImportPath: own + "core/engine", Imports: []string{own + "core", "sync"}}, ""},
		{"engine imports network", goPackage{ImportPath: own + "core/engine", Imports: []string{own + "core/network"}}, "core/engine imports core/network"},
		{"network may import its libraries", goPackage{
			ImportPath: own + "core/network",
			Imports:    []string{own + "core", "github.com/panjf2000/gnet/v2", "github.com/gobwas/ws", "golang.org/x/sys/unix"},
		}, ""},
		{"network imports engine", goPackage{ImportPath: own + "core/network", Imports: []string{own + "core/engine"}}, "core/network imports core/engine"},
		{"network imports a codec", goPackage{ImportPath: own + "core/network", Imports: []string{own + "codecs/vws"}}, "core/network imports codecs/vws"},
		{"network imports gorilla", goPackage{ImportPath: own + "core/network", Imports: []string{"github.com/gorilla/websocket"}}, "github.com/gorilla/websocket"},
		{"a codec may import core and rawjson", goPackage{ImportPath: own + "codecs/vws", Imports: []string{own + "core", own + "core/rawjson"}}, ""},
		{"a codec imports another", goPackage{ImportPath: own + "codecs/vws", Imports: []string{own + "codecs/wsify"}}, "codecs/vws imports codecs/wsify"},
		{"a codec imports the engine", goPackage{ImportPath: own + "codecs/vws", Imports: []string{own + "core/engine"}}, "codecs/vws imports core/engine"},
		{"a codec imports a library", goPackage{ImportPath: own + "codecs/vws", Imports: []string{"golang.org/x/text/unicode/norm"}}, "golang.org/x/text"},
		{"auth imports admin", goPackage{ImportPath: own + "internal/auth", Imports: []string{own + "internal/admin"}}, "internal/auth imports internal/admin"},
		{"config imports the root", goPackage{ImportPath: own + "config", Imports: []string{module}}, "config imports ."},
		{"conversations import the root", goPackage{ImportPath: own + "conversations", Imports: []string{module}}, "conversations imports ."},
		{"a test of conversations may", goPackage{ImportPath: own + "conversations", XTestImports: []string{module, "testing"}}, ""},
		{"cmd may import the root", goPackage{ImportPath: own + "cmd/broker", Imports: []string{module, "github.com/spf13/cobra"}}, ""},
		{"the root imports the engine", goPackage{ImportPath: module, Imports: []string{own + "core/engine"}}, ". imports core/engine"},
		{"assembly imports the root", goPackage{ImportPath: own + "internal/assembly", Imports: []string{module}}, "assembly imports ."},
		{"the root imports cmd", goPackage{ImportPath: module, Imports: []string{own + "cmd/broker"}}, ". imports cmd/broker"},
		{"production code imports testing", goPackage{ImportPath: own + "internal/admin", Imports: []string{"testing"}}, "admin imports testing"},
		{"production code imports testing/fstest", goPackage{ImportPath: own + "internal/admin", Imports: []string{"testing/fstest"}}, "admin imports testing/fstest"},
		{"production code imports C", goPackage{ImportPath: own + "internal/admin", Imports: []string{"C"}}, "admin imports C"},
		{"cmd imports the engine", goPackage{ImportPath: own + "cmd/broker", Imports: []string{own + "core/engine"}}, "cmd/broker imports core/engine"},
		{"a test takes a real part", goPackage{ImportPath: own + "core/network", TestImports: []string{own + "core/engine", "testing"}}, ""},
		{"a test imports a stranger", goPackage{ImportPath: own + "internal/auth", XTestImports: []string{"github.com/stretchr/testify/assert"}}, "a test of internal/auth imports github.com/stretchr"},
		{"a new room needs a rule", goPackage{ImportPath: own + "util"}, "util: no rule"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := violations([]goPackage{test.pkg})
			switch {
			case test.want == "" && len(got) != 0:
				t.Errorf("refused: %q", got)
			case test.want != "" && (len(got) != 1 || !strings.Contains(got[0], test.want)):
				t.Errorf("got %q, want one violation with %q", got, test.want)
			}
		})
	}
}

// TestStale checks that the check for rules without packages can fail.
func TestStale(t *testing.T) {
	var packages []goPackage
	for _, r := range rules[1:] {
		packages = append(packages, goPackage{ImportPath: module + "/" + strings.TrimSuffix(r.packages, "/...")})
	}
	packages = append(packages, goPackage{ImportPath: module})
	if got := stale(rules, packages); !slices.Equal(got, []string{rules[0].packages}) {
		t.Errorf("got %q, want %q alone", got, rules[0].packages)
	}
}

// TestUndocumented checks that the check of package comments can fail.
func TestUndocumented(t *testing.T) {
	got := undocumented([]goPackage{
		{ImportPath: "silent", GoFiles: []string{"a.go"}, Doc: " "},
		{ImportPath: "spoken", GoFiles: []string{"a.go"}, Doc: "Package spoken is."},
		{ImportPath: "tests-only"},
	})
	if !slices.Equal(got, []string{"silent"}) {
		t.Errorf("got %q, want silent alone", got)
	}
}

// TestModFaults checks that the check of go.mod can fail.
func TestModFaults(t *testing.T) {
	tests := []struct {
		name, mod string
		want      int
	}{
		{"clean", `{"Module":{"Path":"` + module + `"},"Require":[{"Path":"github.com/gobwas/ws"}]}`, 0},
		{"replace", `{"Module":{"Path":"x"},"Replace":[{"Old":{"Path":"y"},"New":{"Path":"../y"}}]}`, 1},
		{"peer in the broker", `{"Module":{"Path":"` + module + `"},"Require":[{"Path":"github.com/lxzan/gws"}]}`, 1},
		{"peer in the benchmark", `{"Module":{"Path":"` + module + `/bench"},"Require":[{"Path":"github.com/lxzan/gws"}]}`, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := modFaults([]byte(test.mod))
			if err != nil || len(got) != test.want {
				t.Errorf("got %q, %v, want %d faults", got, err, test.want)
			}
		})
	}
}
