package deploy_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/polywire/polywire/core/coretest"
)

// image is what the last stage of a Dockerfile says.
type image struct {
	user                    uint32
	entrypoint, cmd, health []string
}

func readImage(t *testing.T) image {
	t.Helper()
	var im image
	list := func(text string) (words []string) {
		if err := json.Unmarshal([]byte(text[strings.Index(text, "["):]), &words); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return words
	}
	for line := range strings.Lines(read(t, "container/Dockerfile")) {
		instruction, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch instruction {
		case "FROM":
			im = image{}
		case "USER":
			user, _, _ := strings.Cut(rest, ":")
			id, err := strconv.ParseUint(user, 10, 32)
			if err != nil {
				t.Fatalf("Kubernetes can only tell that a numeric user is not root: %v", err)
			}
			im.user = uint32(id)
		case "ENTRYPOINT":
			im.entrypoint = list(rest)
		case "CMD":
			im.cmd = list(rest)
		case "HEALTHCHECK":
			im.health = list(rest)
		}
	}
	if im.user == 0 || len(im.entrypoint) == 0 || len(im.cmd) == 0 || len(im.health) == 0 {
		t.Fatalf("the image: %+v", im)
	}
	return im
}

// TestContainer runs what the image runs as its user, with nothing beside it and nothing that it may write to: the broker
// serves, and is healthy.
func TestContainer(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may chroot")
	}
	im := readImage(t)
	dir := t.TempDir()
	write(t, filepath.Join(dir, im.entrypoint[0]), read(t, broker), 0o755)
	// The ports of the image may be taken on this machine.
	config := read(t, "container/config.yaml")
	for _, port := range []string{"9190", "3000", "12345", "8080", "8081", "9100"} {
		if !strings.Contains(config, ":"+port+`"`) {
			t.Fatalf("the image does not serve port %s", port)
		}
		config = strings.ReplaceAll(config, ":"+port+`"`, ":"+strconv.Itoa(coretest.FreePort(t))+`"`)
	}
	write(t, filepath.Join(dir, "etc/polywire/config.yaml"), config, 0o644)
	// The folders of the test itself are root's alone.
	for d := dir; d != filepath.Clean(os.TempDir()); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o555); err != nil {
			t.Fatal(err)
		}
	}
	within := func(words ...string) *exec.Cmd {
		cmd := exec.Command(words[0], words[1:]...)
		cmd.Dir, cmd.Env = "/", []string{"HOSTNAME=here"}
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Chroot: dir, Credential: &syscall.Credential{Uid: im.user, Gid: im.user}, Pdeathsig: syscall.SIGKILL,
		}
		return cmd
	}
	start(t, within(append(im.entrypoint, im.cmd...)...))
	var said []byte
	coretest.Eventually(t, "the broker is healthy", func() bool {
		out, err := within(im.health...).CombinedOutput()
		said = out
		return err == nil
	})
	if got := strings.TrimSpace(string(said)); got != "ok" {
		t.Errorf("the health check says %q", got)
	}
}
