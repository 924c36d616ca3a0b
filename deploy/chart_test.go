package deploy_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/config"
)

// object is one of Kubernetes.
type object map[string]any

// at returns what is at a path such as spec.template; an empty step is the first of a list.
func (o object) at(t *testing.T, path ...string) any {
	t.Helper()
	var v any = map[string]any(o)
	for _, step := range path {
		switch in := v.(type) {
		case map[string]any:
			v = in[step]
		case []any:
			v = in[0]
		default:
			t.Fatalf("%v: there is no %s", path, step)
		}
	}
	return v
}

// rendered returns the chart's objects by kind and name.
func rendered(t *testing.T, values map[string]any) (map[string]object, error) {
	t.Helper()
	chart, err := loader.Load("helm/polywire")
	if err != nil {
		t.Fatal(err)
	}
	options := chartutil.ReleaseOptions{Name: "pw", Namespace: "chat", IsInstall: true}
	all, err := chartutil.ToRenderValues(chart, values, options, chartutil.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	texts, err := engine.Engine{Strict: true}.Render(chart, all)
	if err != nil {
		t.Fatal(err)
	}
	objects := make(map[string]object)
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		if filepath.Ext(name) != ".yaml" {
			continue
		}
		for decoder := yaml.NewDecoder(strings.NewReader(texts[name])); ; {
			var fields map[string]any
			if err := decoder.Decode(&fields); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v\n%s", name, err, texts[name])
			}
			if o := object(fields); o != nil {
				objects[fmt.Sprint(o["kind"], "/", o.at(t, "metadata", "name"))] = o
			}
		}
	}
	return objects, nil
}

// withImage is what the values have to say.
var withImage = map[string]any{"image": map[string]any{"repository": "registry.example/polywire"}}

// TestChart renders the chart as it comes, with three brokers that are a cluster: the configuration is one that the broker takes.
func TestChart(t *testing.T) {
	values := maps.Clone(withImage)
	values["serviceMonitor"] = map[string]any{"enabled": true}
	objects, err := rendered(t, values)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"ConfigMap/pw", "PodDisruptionBudget/pw", "Service/pw", "Service/pw-nodes", "ServiceMonitor/pw", "StatefulSet/pw",
	}
	if got := slices.Sorted(maps.Keys(objects)); !slices.Equal(got, want) {
		t.Fatalf("objects %v, want %v", got, want)
	}
	cfg := configured(t, objects)
	if len(cfg.Endpoints) != 5 || cfg.Cluster.Node != "pw-1" {
		t.Errorf("%d endpoints, node %q", len(cfg.Endpoints), cfg.Cluster.Node)
	}
	routes := []string{"nats://pw-0.pw-nodes:6222", "nats://pw-1.pw-nodes:6222", "nats://pw-2.pw-nodes:6222"}
	if got := cfg.Cluster.Embedded.Routes; !slices.Equal(got, routes) {
		t.Errorf("routes %v, want %v", got, routes)
	}
	set := objects["StatefulSet/pw"]
	if grace, ok := set.at(t, "spec", "template", "spec", "terminationGracePeriodSeconds").(int); !ok ||
		float64(grace) <= (cfg.Drain.Delay+cfg.Drain.Timeout).Seconds() {
		t.Errorf("Kubernetes waits %v s for a broker that drains for %v and %v", grace, cfg.Drain.Delay, cfg.Drain.Timeout)
	}
	for field, want := range map[string]any{"readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false} {
		if got := set.at(t, "spec", "template", "spec", "containers", "", "securityContext", field); got != want {
			t.Errorf("%s is %v", field, got)
		}
	}
	if got := set.at(t, "spec", "template", "spec", "containers", "", "image"); got != "registry.example/polywire:0.1.0" {
		t.Errorf("the image is %v", got)
	}
	// The pods of the set, the service, and the budget are the same ones.
	labels := set.at(t, "spec", "template", "metadata", "labels").(map[string]any)
	for name, path := range map[string][]string{
		"StatefulSet/pw": {"spec", "selector", "matchLabels"}, "Service/pw": {"spec", "selector"}, "Service/pw-nodes": {"spec", "selector"},
		"PodDisruptionBudget/pw": {"spec", "selector", "matchLabels"},
	} {
		selector, ok := objects[name].at(t, path...).(map[string]any)
		if !ok || len(selector) == 0 {
			t.Errorf("%s selects %v", name, selector)
		}
		for key, value := range selector {
			if labels[key] != value {
				t.Errorf("%s selects %s=%v, and the pods have %v", name, key, value, labels[key])
			}
		}
	}
}

// TestChartOfOne: one broker alone is no cluster.
func TestChartOfOne(t *testing.T) {
	values := maps.Clone(withImage)
	values["replicas"] = 1
	objects, err := rendered(t, values)
	if err != nil {
		t.Fatal(err)
	}
	if cfg := configured(t, objects); cfg.Cluster.Engine != "" {
		t.Errorf("it has a cluster: %+v", cfg.Cluster)
	}
	if _, there := objects["ServiceMonitor/pw"]; there {
		t.Error("there is a ServiceMonitor, which a cluster without Prometheus' operator refuses")
	}
}

// TestChartRefuses checks that mistakes in the values are named before anything is installed.
func TestChartRefuses(t *testing.T) {
	for name, values := range map[string]map[string]any{
		"image":             {},
		"replicas":          {"image": withImage["image"], "replicas": 0},
		"relicas":           {"image": withImage["image"], "relicas": 2},
		"existingSecret":    {"image": withImage["image"], "existingSecret": ""},
		"/config/admin":     {"image": withImage["image"], "config": map[string]any{"admin": map[string]any{"listen": ":1"}}},
		"/config/endpoints": {"image": withImage["image"], "config": map[string]any{"endpoints": []any{}}},
	} {
		if _, err := rendered(t, values); err == nil || !strings.Contains(err.Error(), strings.TrimPrefix(name, "/")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// configured returns the configuration of the chart's second broker.
func configured(t *testing.T, objects map[string]object) *config.Config {
	t.Helper()
	text, ok := objects["ConfigMap/pw"].at(t, "data", "config.yaml").(string)
	if !ok {
		t.Fatal("there is no config.yaml")
	}
	file := filepath.Join(t.TempDir(), "config.yaml")
	write(t, file, text, 0o600)
	env := []string{
		"HOSTNAME=pw-1", "CLUSTER_SECRET=0123456789",
		"ADMIN_TOKEN_HASH=sha256:8b2d5eb57d33ba0d41ab0e0c772b51fea413a08834290e9e7c55570ff6c48680",
	}
	cfg, err := config.Load(config.Source{File: file, Env: env}, polywire.Protocols())
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return cfg
}
