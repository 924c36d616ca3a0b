package polywire_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/polywire/polywire"
	clients "github.com/polywire/polywire/client"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// member is a node of a cluster, in a process of its own.
type member struct {
	name, url, admin string
	process          *exec.Cmd
}

// kill ends the process without a word.
func (m *member) kill() {
	_ = m.process.Process.Kill()
	_ = m.process.Wait()
}

// readiness returns what /readyz says, empty if nobody answers.
func (m *member) readiness() string {
	response, err := http.Get("http://" + m.admin + "/readyz")
	if err != nil {
		return ""
	}
	defer func() { _ = response.Body.Close() }()
	body, _ := io.ReadAll(response.Body)
	return strings.TrimSpace(string(body))
}

// members starts the nodes of a cluster, each with the bridges of the text.
func members(t *testing.T, bridges string, joins func(name string) string) []*member {
	t.Helper()
	program := filepath.Join(t.TempDir(), "broker")
	if out, err := exec.Command("go", "build", "-o", program, "./cmd/broker").CombinedOutput(); err != nil {
		t.Fatalf("building the broker: %v\n%s", err, out)
	}
	var all []*member
	for _, name := range []string{"a", "b", "c"} {
		port, admin := coretest.FreePort(t), coretest.FreePort(t)
		m := &member{name: name, url: fmt.Sprintf("ws://127.0.0.1:%d/ws", port), admin: fmt.Sprintf("127.0.0.1:%d", admin)}
		file := filepath.Join(t.TempDir(), name+".yaml")
		text := fmt.Sprintf("endpoints: [{name: web, protocol: vws, listen: \"127.0.0.1:%d\", path: /ws, options: {allow_send: true}}]\nadmin: {listen: %q}\ncluster: %s\n%s",
			port, m.admin, joins(name), bridges)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		log, err := os.Create(filepath.Join(t.TempDir(), name+".log"))
		if err != nil {
			t.Fatal(err)
		}
		m.process = exec.Command(program, "serve", "--config", file)
		m.process.Stderr = log
		if err := m.process.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			m.kill()
			if said, _ := os.ReadFile(log.Name()); t.Failed() {
				t.Logf("node %s wrote\n%s", name, said)
			}
			_ = log.Close()
		})
		all = append(all, m)
	}
	return all
}

// leader waits until all nodes agree on which of them runs the bridge, and it is connected.
func leader(t *testing.T, all []*member) (found *member) {
	t.Helper()
	coretest.Eventually(t, "one node runs the bridge", func() bool {
		found = nil
		standing := 0
		for _, m := range all {
			switch text := m.readiness(); {
			case text == "ok":
				found = m
			case strings.HasPrefix(text, "ok, standing by for the bridge old, which node n-"):
				standing++
			}
		}
		return found != nil && standing == len(all)-1
	})
	if text := fmt.Sprint("which node n-", found.name, "-"); !strings.Contains(next(all, found).readiness(), text) {
		t.Errorf("node %s runs the bridge, and the others say %q", found.name, next(all, found).readiness())
	}
	return found
}

// next returns another node.
func next(all []*member, m *member) *member { return all[(slices.Index(all, m)+1)%len(all)] }

// Of three nodes with the same bridge one runs it: what is said at the old server is heard once at each node,
// and what is said at any node is heard once there. When the node is killed another one takes over.
func TestBridgeOfCluster(t *testing.T) {
	for name, joins := range map[string]func(t *testing.T) func(name string) string{"nats": overNATS, "redis": overRedis} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			port := coretest.FreePort(t)
			server := old(t, "vws", port)
			bridge := fmt.Sprintf("bridges: [{name: old, protocol: vws, url: \"ws://127.0.0.1:%d/ws\", hear: [chat/a], tell: [chat/a]}]\n", port)
			all := members(t, bridge, joins(t))
			first := leader(t, all)
			heardOnce(t, server.urls["old"].URL, all, 1)
			first.kill()
			all = slices.DeleteFunc(all, func(m *member) bool { return m == first })
			leader(t, all)
			heardOnce(t, server.urls["old"].URL, all, 2)
		})
	}
}

// A bridge that leads to another node of its own cluster is refused, as one that leads to its own broker.
func TestBridgeToItsCluster(t *testing.T) {
	joins := overRedis(t)
	ports := map[string]int{"a": coretest.FreePort(t), "b": coretest.FreePort(t)}
	node := func(name string) *running {
		return run(t, fmt.Sprintf(`
endpoints: [{name: web, protocol: vws, listen: "127.0.0.1:%d", path: /ws, options: {allow_send: true}}]
admin: {listen: "127.0.0.1:0"}
cluster: %s
bridges: [{name: old, protocol: vws, url: "ws://127.0.0.1:%d/ws", hear: ["#"], tell: ["#"]}]`, ports[name], joins(name), ports["b"]))
	}
	a := node("a")
	coretest.Eventually(t, "a runs the bridge, and there is nobody to reach", func() bool {
		return strings.Contains(a.readiness(t), "but for the bridge old: connecting to ")
	})
	b := node("b")
	coretest.Eventually(t, "b refuses it", func() bool { return strings.Contains(a.readiness(t), "508") })
	coretest.Eventually(t, "b knows who runs it", func() bool {
		return strings.Contains(b.readiness(t), "standing by for the bridge old, which node n-a-")
	})
}

// A node that drains leaves its bridge to another one while it still takes leave of its clients.
func TestBridgeOfDrainingNode(t *testing.T) {
	joins, port := overRedis(t), coretest.FreePort(t)
	old(t, "vws", port)
	leave := make(chan struct{})
	lingers := polywire.WithHooks(core.Hooks{Disconnected: func(core.Client, core.Reason) { <-leave }})
	nodes := make(map[string]*running)
	for _, name := range []string{"a", "b"} {
		nodes[name] = run(t, fmt.Sprintf(`
endpoints: [{name: web, protocol: vws, listen: "127.0.0.1:0", path: /ws}]
admin: {listen: "127.0.0.1:0"}
drain: {timeout: 1h}
cluster: %s
bridges: [{name: old, protocol: vws, url: "ws://127.0.0.1:%d/ws", hear: [chat/a]}]`, joins(name), port), lingers)
	}
	var first, second *running
	coretest.Eventually(t, "one node runs the bridge", func() bool {
		first, second = nodes["a"], nodes["b"]
		if first.readiness(t) != "ok" {
			first, second = second, first
		}
		return first.readiness(t) == "ok" && strings.Contains(second.readiness(t), "standing by")
	})
	speaks(t, "vws", first.urls["web"].URL)
	ended := make(chan error, 1)
	go func() { ended <- first.stop() }()
	coretest.Eventually(t, "the other node runs the bridge", func() bool { return second.readiness(t) == "ok" })
	close(leave)
	if err := coretest.Receive(t, "the end", ended); err != nil {
		t.Error(err)
	}
}

// heardOnce lets clients of the old server and of all nodes speak, and everything be heard once by each.
func heardOnce(t *testing.T, server string, all []*member, round int) {
	t.Helper()
	const n = 20
	urls := []string{server}
	for _, m := range all {
		urls = append(urls, m.url)
	}
	says, hears := make([]*clients.Client, len(urls)), make([]<-chan core.Event, len(urls))
	for i, url := range urls {
		says[i], _ = speaks(t, "vws", url)
		var listener *clients.Client
		listener, hears[i] = speaks(t, "vws", url)
		do(t, listener, core.Command{Verb: core.Subscribe, Topic: []byte("chat/a"), Pattern: true})
	}
	for i := range urls {
		for j := range urls {
			text := fmt.Sprintf("probe %d of %d for %d", round, i, j)
			coretest.Eventually(t, text, func() bool {
				do(t, says[i], publish("chat/a", text))
				time.Sleep(5 * time.Millisecond)
				return heardText(hears[j], text)
			})
		}
	}
	for m := range n {
		for i := range urls {
			do(t, says[i], publish("chat/a", fmt.Sprintf("%d: %d of %d", round, m, i)))
		}
	}
	for i := range urls {
		do(t, says[i], publish("chat/a", fmt.Sprintf("%d: the end of %d", round, i)))
	}
	for j := range urls {
		seen := make(map[string]int)
		for ends := 0; ends < len(urls); {
			text := textOf(coretest.Receive(t, "a message", hears[j]).Payload)
			if seen[text]++; strings.Contains(text, "the end of") && seen[text] == 1 {
				ends++
			}
		}
		for i := range urls {
			for m := range n {
				if text := fmt.Sprintf("%d: %d of %d", round, m, i); seen[text] != 1 {
					t.Fatalf("%s heard %q %d times", urls[j], text, seen[text])
				}
			}
		}
	}
}

// overNATS joins nodes by NATS servers within them.
func overNATS(t *testing.T) func(name string) string {
	addresses := make(map[string]string)
	var routes []string
	for _, name := range []string{"a", "b", "c"} {
		addresses[name] = fmt.Sprintf("127.0.0.1:%d", coretest.FreePort(t))
		routes = append(routes, fmt.Sprintf("%q", "nats://"+addresses[name]))
	}
	return func(name string) string {
		return fmt.Sprintf("{engine: nats, node: %s, embedded: {listen: %q, routes: [%s], store_dir: %q}}", name, addresses[name], strings.Join(routes, ", "), t.TempDir())
	}
}

// overRedis joins nodes by a Redis.
func overRedis(t *testing.T) func(name string) string {
	port := coretest.FreePort(t)
	server := exec.Command("redis-server", "--bind", "127.0.0.1", "--port", fmt.Sprint(port), "--save", "", "--dir", t.TempDir())
	if err := server.Start(); err != nil {
		t.Fatalf("starting redis-server, which make test installs: %v", err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	coretest.Eventually(t, "Redis serves", func() bool {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		return err == nil && c.Close() == nil
	})
	return func(name string) string {
		return fmt.Sprintf("{engine: redis, node: %s, url: \"redis://127.0.0.1:%d\"}", name, port)
	}
}
