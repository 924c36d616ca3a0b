package deploy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/client"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// behind is where clients of each format connect, if a proxy has the ports that its example says.
var behind = map[string]string{"wubsub": "9190/", "wsify": "3000/ws", "stocking": "12345/ws", "vws": "8080/ws", "webwire": "8081/"}

// TestNginx runs nginx with deploy/proxies/nginx.conf.
func TestNginx(t *testing.T) {
	nginx := daemon(t, "nginx")
	throughProxy(t, "proxies/nginx.conf", func(dir, conf string) *exec.Cmd {
		// What Debian's own nginx.conf has around it.
		write(t, filepath.Join(dir, "nginx.conf"), fmt.Sprintf(`daemon off;
pid %[1]s/nginx.pid;
error_log stderr warn;
events {}
http {
    access_log off;
    client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi;
    uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
%[2]s}
`, dir, conf), 0o644)
		return exec.Command(nginx, "-p", dir, "-e", "stderr", "-c", filepath.Join(dir, "nginx.conf"))
	})
}

// TestHAProxy runs HAProxy with deploy/proxies/haproxy.cfg.
func TestHAProxy(t *testing.T) {
	haproxy := daemon(t, "haproxy")
	throughProxy(t, "proxies/haproxy.cfg", func(dir, conf string) *exec.Cmd {
		file := filepath.Join(dir, "haproxy.cfg")
		write(t, file, conf, 0o644)
		if out, err := exec.Command(haproxy, "-c", "-f", file).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return exec.Command(haproxy, "-db", "-f", file)
	})
}

// daemon finds a program that Debian keeps where only root looks.
func daemon(t *testing.T, name string) string {
	t.Helper()
	if path, err := exec.LookPath(filepath.Join("/usr/sbin", name)); err == nil {
		return path
	}
	return installed(t, name)
}

// throughProxy runs the broker of proxies/polywire.yaml and a proxy before it. A client of each format connects to the proxy,
// asks something and is answered, and the broker knows the address that the proxy has seen, whatever the client claims.
func throughProxy(t *testing.T, conf string, command func(dir, conf string) *exec.Cmd) {
	dir := t.TempDir()
	ports := freePorts(t)
	config := strings.Replace(read(t, "proxies/polywire.yaml"), "delay: 5s", "delay: 0s", 1) // there is no balancer to wait for
	write(t, filepath.Join(dir, "polywire.yaml"), ports.Replace(config+`
services:
  - { match: test/echo, builtin: echo }
`), 0o600)
	start(t, exec.Command(broker, "serve", "--config", filepath.Join(dir, "polywire.yaml")))
	admin := "http://" + ports.Replace("127.0.0.1:9100")
	coretest.Eventually(t, "the broker is ready", func() bool { return status(admin+"/readyz") == http.StatusOK })
	start(t, command(dir, ports.Replace(read(t, conf))))

	var clients int
	for protocol, address := range behind {
		url := "ws://" + ports.Replace("127.0.0.1:"+address)
		// HAProxy answers 503 until it has seen that the broker is healthy.
		coretest.Eventually(t, "the proxy passes requests on", func() bool {
			code := status("http" + strings.TrimPrefix(url, "ws"))
			return code != 0 && code != http.StatusServiceUnavailable && code != http.StatusBadGateway
		})
		c := dial(t, protocol, url)
		clients++
		answer, err := c.Do(t.Context(), core.Command{
			Verb: core.Call, Topic: []byte("test/echo"), Payload: core.Payload{Kind: core.Text, Data: []byte("over " + protocol)},
		})
		if err != nil || !strings.Contains(string(answer.Payload.Data), "over "+protocol) {
			t.Errorf("%s: answer %q, %v", protocol, answer.Payload.Data, err)
		}
	}
	var list struct {
		Connections []struct{ Protocol, Remote string }
	}
	res, err := http.Get(admin + "/v1/connections")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&list); err != nil {
		t.Fatal(err)
	}
	if len(list.Connections) != clients {
		t.Errorf("%d connections, want %d", len(list.Connections), clients)
	}
	for _, c := range list.Connections {
		if !strings.HasPrefix(c.Remote, "127.0.0.1") {
			t.Errorf("a client of %s comes from %s", c.Protocol, c.Remote)
		}
	}
}

// dial connects a client that lies about its address.
func dial(t *testing.T, protocol, url string) *client.Client {
	t.Helper()
	for _, p := range polywire.Protocols() {
		if p.Name != protocol {
			continue
		}
		format, err := p.Default()
		if err != nil {
			t.Fatal(err)
		}
		speaks, ok := format.(core.ClientFormat)
		if !ok {
			t.Fatalf("%s has no client's side", protocol)
		}
		c, err := client.Dial(t.Context(), client.Options{
			URL: url, Codec: func() core.ClientCodec { return client.ByTopic(speaks.NewClientCodec()) },
			Header: http.Header{"X-Forwarded-For": {"203.0.113.9"}}, Timeout: coretest.Patience,
		})
		if err != nil {
			t.Fatalf("%s: %v", protocol, err)
		}
		t.Cleanup(func() { c.Close(context.Background()) })
		return c
	}
	t.Fatalf("there is no format %s", protocol)
	return nil
}

// status returns the HTTP status of a GET; 0 if there is no answer.
func status(url string) int {
	res, err := http.Get(url)
	if err != nil {
		return 0
	}
	_ = res.Body.Close()
	return res.StatusCode
}

// freePorts replaces all ports of the examples by free ones.
func freePorts(t *testing.T) portReplacer {
	r := make(portReplacer)
	for _, outer := range behind {
		port, _, _ := strings.Cut(outer, "/")
		n, err := strconv.Atoi(port)
		if err != nil {
			t.Fatal(err)
		}
		r[port] = strconv.Itoa(coretest.FreePort(t))
		r[strconv.Itoa(n+10_000)] = strconv.Itoa(coretest.FreePort(t))
	}
	r["9100"] = strconv.Itoa(coretest.FreePort(t))
	return r
}

type portReplacer map[string]string

var number = regexp.MustCompile(`\b[0-9]{4,5}\b`)

func (r portReplacer) Replace(text string) string {
	return number.ReplaceAllStringFunc(text, func(n string) string {
		if port, known := r[n]; known {
			return port
		}
		return n
	})
}
