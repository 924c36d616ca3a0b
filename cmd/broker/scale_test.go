package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/config"
)

// The manifests of docs/scale.md are YAML, and belong together: the configuration is a valid one, whose
// ports, folder and names are those of the pods.
func TestManifests(t *testing.T) {
	text, err := os.ReadFile("../../docs/scale.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```yaml\n(.*?)```\n").FindSubmatch(text)
	if block == nil {
		t.Fatal("there are no manifests")
	}
	kinds := make(map[string]map[string]any)
	for decoder := yaml.NewDecoder(bytes.NewReader(block[1])); ; {
		var one map[string]any
		if err := decoder.Decode(&one); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		kinds[one["kind"].(string)] = one
	}
	text2, ok := kinds["ConfigMap"]["data"].(map[string]any)["config.yaml"].(string)
	if !ok {
		t.Fatal("there is no configuration")
	}
	cfg, err := polywire.Load(config.Source{Text: text2, Env: []string{
		"HOSTNAME=polywire-1", "CLUSTER_SECRET=s", "METRICS_TOKEN_HASH=" + config.DigestOf("x").String(),
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Cluster.Node != "polywire-1" || cfg.Cluster.Embedded.Secret != "s" || len(cfg.Cluster.Embedded.Routes) != 3 {
		t.Errorf("the cluster is %+v", cfg.Cluster)
	}
	set := string(block[1][bytes.Index(block[1], []byte("kind: StatefulSet")):])
	for _, part := range []string{
		"mountPath: " + cfg.Cluster.Embedded.StoreDir + "}", "containerPort: 3000}", "containerPort: 9190}", "containerPort: 6222}",
		"path: /readyz, port: 9100", "path: /livez, port: 9100", "podManagementPolicy: Parallel", "serviceName: polywire-nodes", "replicas: 3",
	} {
		if !strings.Contains(set, part) {
			t.Errorf("the StatefulSet has no %q", part)
		}
	}
	if grace := cfg.Drain.Delay + cfg.Drain.Timeout; grace.Seconds() >= 60 {
		t.Errorf("the drain takes %v, longer than the grace period", grace)
	}
}
