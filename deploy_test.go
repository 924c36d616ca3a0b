package polywire_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const runbookURL = "https://github.com/polywire/polywire/blob/main/docs/runbook.md#"

// alert is a rule of deploy/prometheus/alerts.yaml.
type alert struct {
	Alert, Expr, For    string
	Labels, Annotations map[string]string
}

func alerts(t *testing.T) []alert {
	t.Helper()
	text, err := os.ReadFile("deploy/prometheus/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Groups []struct{ Rules []alert } }
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	var all []alert
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) < 20 {
		t.Fatalf("there are %d alerts", len(all))
	}
	return all
}

// dashboard returns the queries of deploy/grafana/polywire.json, each with its panel and with labels for its legend.
func dashboard(t *testing.T) (queries []query) {
	t.Helper()
	text, err := os.ReadFile("deploy/grafana/polywire.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Templating struct {
			List []struct{ Name, Definition string }
		}
		Panels []struct {
			Title, Type string
			Targets     []struct{ Expr, LegendFormat string }
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	for _, v := range board.Templating.List {
		queries = append(queries, query{where: "the variable " + v.Name, expr: v.Definition})
	}
	for _, p := range board.Panels {
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("the panel %s shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			queries = append(queries, query{where: "the panel " + p.Title, expr: target.Expr, legend: target.LegendFormat})
		}
	}
	if len(queries) < 50 {
		t.Fatalf("the dashboard has %d queries", len(queries))
	}
	return queries
}

type query struct{ where, expr, legend string }

var (
	// selected is a metric with its matchers; grouped the labels of an aggregation; used a label in a text.
	selected = regexp.MustCompile(`\b((?:polywire|process|go)_[a-z_]+)(?:\{([^}]*)\})?`)
	matcher  = regexp.MustCompile(`(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"`)
	grouped  = regexp.MustCompile(`\bby \(([^)]*)\)`)
	used     = regexp.MustCompile(`\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}`)
	ofSeries = regexp.MustCompile(`_(bucket|sum|count)$`)
)

// faults returns what is wrong with a query, given the metrics that there are.
func (q query) faults(all map[string]*shown) (faults []string) {
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Sprintf("%s: %s: in %s", q.where, fmt.Sprintf(format, args...), q.expr))
	}
	known := []string{"instance", "job", "le"}
	for _, m := range selected.FindAllStringSubmatch(q.expr, -1) {
		metric := all[m[1]]
		if base := ofSeries.ReplaceAllString(m[1], ""); metric == nil && all[base] != nil && all[base].kind == "histogram" {
			metric = all[base]
		}
		if metric == nil {
			fault("there is no metric %s", m[1])
			continue
		}
		if metric.kind == "histogram" && all[m[1]] != nil {
			fault("%s is a histogram, and has no series of this name", m[1])
		}
		labels := append([]string{"instance", "job"}, metric.labels...)
		known = append(known, metric.labels...)
		for _, match := range matcher.FindAllStringSubmatch(m[2], -1) {
			if !slices.Contains(labels, match[1]) {
				fault("%s has no label %s", m[1], match[1])
			}
			for reason := range strings.SplitSeq(match[3], "|") {
				if match[1] == "reason" && !slices.Contains(metric.reasons, reason) {
					fault("%s has no reason %s", m[1], reason)
				}
			}
			if match[1] == "outcome" && match[3] != "ok" && match[3] != "failed" {
				fault("there is no outcome %s", match[3])
			}
		}
		counts := strings.HasSuffix(m[1], "_total") || ofSeries.MatchString(m[1])
		if at := strings.Index(q.expr, m[0]); counts && !strings.HasSuffix(q.expr[:at], "rate(") && !strings.HasSuffix(q.expr[:at], "increase(") {
			fault("%s only rises: ask for its rate or increase", m[1])
		}
	}
	var by []string
	for _, m := range grouped.FindAllStringSubmatch(q.expr, -1) {
		for label := range strings.SplitSeq(m[1], ",") {
			by = append(by, strings.TrimSpace(label))
			if !slices.Contains(known, strings.TrimSpace(label)) {
				fault("nothing has the label %s", label)
			}
		}
	}
	for _, m := range used.FindAllStringSubmatch(q.legend, -1) {
		if by != nil && !slices.Contains(by, m[1]) || !slices.Contains(known, m[1]) {
			fault("%s shows a label that the result lacks", m[0])
		}
	}
	return faults
}

// The alerts and the dashboard ask for metrics and labels that there are, and for all of them but some.
func TestDeploy(t *testing.T) {
	b := everything(t)
	_, page := get(t, b.AdminURL())
	all := metricsOf(t, page)
	queries := dashboard(t)
	shown := ""
	for _, q := range queries {
		shown += q.expr + "\n"
	}
	for _, a := range alerts(t) {
		queries = append(queries, query{where: "the alert " + a.Alert, expr: a.Expr, legend: a.Annotations["summary"]})
	}
	for _, q := range queries {
		for _, fault := range q.faults(all) {
			t.Error(fault)
		}
	}
	for name := range all {
		if strings.HasPrefix(name, "polywire_") && !regexp.MustCompile(`\b`+name+`(_bucket)?\b`).MatchString(shown) && name != "polywire_bytes_dropped_total" {
			t.Errorf("the dashboard does not show %s", name)
		}
	}
}

// Each alert has a section in the runbook, and each section an alert.
func TestRunbook(t *testing.T) {
	text, err := os.ReadFile("docs/runbook.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^## (\w+)$`).FindAllStringSubmatch(string(text), -1) {
		sections[m[1]] = true
	}
	for _, a := range alerts(t) {
		if url := runbookURL + strings.ToLower(a.Alert); a.Annotations["runbook_url"] != url {
			t.Errorf("%s: the runbook is %s, want %s", a.Alert, a.Annotations["runbook_url"], url)
		}
		if !sections[a.Alert] {
			t.Errorf("docs/runbook.md has no section %s", a.Alert)
		}
		delete(sections, a.Alert)
		if a.Annotations["summary"] == "" || a.Labels["severity"] != "warning" && a.Labels["severity"] != "critical" {
			t.Errorf("%s has no summary or no severity", a.Alert)
		}
	}
	for name := range sections {
		t.Errorf("docs/runbook.md has the section %s, which is no alert", name)
	}
	for _, m := range regexp.MustCompile("`[^`]*?(polywire_[a-z_]+)").FindAllStringSubmatch(string(text), -1) {
		list, err := os.ReadFile("docs/metrics.md")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(list), "`"+m[1]+"`") {
			t.Errorf("docs/runbook.md speaks of %s, which docs/metrics.md does not list", m[1])
		}
	}
}
