package admin

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// healthType is the media type of draft-inadarei-api-health-check.
const healthType = "application/health+json"

// healthPage answers /readyz or /livez, and below it each check by its name.
type healthPage struct {
	src    *Source
	log    *slog.Logger
	name   string // readyz or livez
	checks []check
}

// serveHealth serves /livez and /readyz.
func serveHealth(mux *http.ServeMux, src *Source, log *slog.Logger) {
	all := src.checks()
	live := slices.DeleteFunc(slices.Clone(all), func(c check) bool { return !c.live })
	for _, p := range []*healthPage{{src, log, "readyz", all}, {src, log, "livez", live}} {
		mux.HandleFunc("GET /"+p.name, func(w http.ResponseWriter, r *http.Request) { p.answer(w, r, "") })
		mux.HandleFunc("GET /"+p.name+"/{check}", func(w http.ResponseWriter, r *http.Request) {
			name := r.PathValue("check")
			if !p.knows(name) {
				answer(w, http.StatusNotFound, p.unknown(name))
				return
			}
			p.answer(w, r, name)
		})
	}
}

// answer answers for one check, or for all if only is empty.
func (p *healthPage) answer(w http.ResponseWriter, r *http.Request, only string) {
	q := r.URL.Query()
	for _, name := range slices.Concat(q["check"], q["exclude"]) {
		if !p.knows(name) {
			answer(w, http.StatusBadRequest, p.unknown(name))
			return
		}
	}
	results := p.src.run(p.checks, func(name string) bool {
		if only != "" {
			return name == only
		}
		return (len(q["check"]) == 0 || slices.Contains(q["check"], name)) && !slices.Contains(q["exclude"], name)
	})
	worst := worstOf(results)
	status := http.StatusOK
	if worst == Fail {
		status = http.StatusServiceUnavailable
	}
	switch {
	case wantsJSON(r, q):
		answerAs(w, p.log, healthType, status, p.document(results))
	case q.Has("verbose"):
		answer(w, status, p.verbose(results))
	case only == "" && len(q["check"])+len(q["exclude"]) == 0:
		answer(w, status, p.plain(results))
	default:
		answer(w, status, p.short(results))
	}
}

// wantsJSON reports whether a request asks for JSON.
func wantsJSON(r *http.Request, q url.Values) bool {
	if q.Has("format") {
		return q.Get("format") == "json"
	}
	for _, accepted := range r.Header.Values("Accept") {
		for kind := range strings.SplitSeq(accepted, ",") {
			kind, _, _ = strings.Cut(kind, ";")
			if kind = strings.TrimSpace(kind); kind == healthType || kind == "application/json" {
				return true
			}
		}
	}
	return false
}

func (p *healthPage) knows(name string) bool {
	return slices.ContainsFunc(p.checks, func(c check) bool { return c.name == name })
}

func (p *healthPage) unknown(name string) string {
	names := make([]string, len(p.checks))
	for i, c := range p.checks {
		names[i] = c.name
	}
	return fmt.Sprintf("there is no check %.50q; there are: %s", name, strings.Join(names, ", "))
}

func worstOf(results []result) (worst Status) {
	for _, r := range results {
		worst = max(worst, r.status)
	}
	return worst
}

// plain is the answer without parameters: what was always said of the cluster and the bridges, and of other checks what
// they fail for.
func (p *healthPage) plain(results []result) string {
	for _, r := range results {
		for _, f := range r.found {
			if f.Status == Fail {
				return cmp.Or(f.told, fmt.Sprintf("not %s: %s: %s", p.state(), r.name, f))
			}
		}
	}
	text := []string{"ok"}
	for _, r := range results {
		for _, f := range r.found {
			if f.told != "" {
				text = append(text, f.told)
			}
		}
	}
	return strings.Join(text, ", ")
}

// state is what the page asks for.
func (p *healthPage) state() string {
	if p.name == "livez" {
		return "alive"
	}
	return "ready"
}

// short says in one line what is the matter with some checks.
func (p *healthPage) short(results []result) string {
	worst := worstOf(results)
	var bad []string
	for _, r := range results {
		for _, f := range r.found {
			if f.Status == worst && worst > Pass {
				bad = append(bad, r.name+": "+f.String())
			}
		}
	}
	text := strings.Join(bad, "; ")
	switch worst {
	case Fail:
		return "not " + p.state() + ": " + text
	case Warn:
		return "ok, but for " + text
	}
	return "ok"
}

// verbose has a line for each check, and for each component that something is the matter with.
func (p *healthPage) verbose(results []result) string {
	var b strings.Builder
	for _, r := range results {
		if r.skipped != "" {
			fmt.Fprintf(&b, "[ ]%s %s\n", r.name, r.skipped)
			continue
		}
		if r.status == Pass {
			fmt.Fprintf(&b, "[+]%s ok\n", r.name)
		}
		for _, f := range r.found {
			switch {
			case f.Status == Fail:
				fmt.Fprintf(&b, "[-]%s failed: %s\n", r.name, f)
			case f.Status == Warn:
				fmt.Fprintf(&b, "[!]%s warning: %s\n", r.name, f)
			}
		}
	}
	if worstOf(results) == Fail {
		return b.String() + p.name + " check failed"
	}
	return b.String() + p.name + " check passed"
}

// healthDocument is an answer as draft-inadarei-api-health-check-06 has it.
type healthDocument struct {
	Status  string                       `json:"status"`
	Release string                       `json:"releaseId"`
	Output  string                       `json:"output,omitempty"`
	Checks  map[string][]healthComponent `json:"checks"`
}

type healthComponent struct {
	Component string `json:"componentId,omitempty"`
	Status    string `json:"status"`
	Observed  any    `json:"observedValue,omitempty"`
	Unit      string `json:"observedUnit,omitempty"`
	Time      string `json:"time"`
	Output    string `json:"output,omitempty"`
}

func (p *healthPage) document(results []result) healthDocument {
	worst, now := worstOf(results), time.Now().UTC().Format(time.RFC3339)
	d := healthDocument{Status: worst.String(), Release: p.src.Version, Checks: make(map[string][]healthComponent)}
	if worst > Pass {
		d.Output = p.short(results)
	}
	for _, r := range results {
		if r.skipped != "" {
			continue
		}
		if len(r.found) == 0 {
			d.Checks[r.name] = []healthComponent{{Status: Pass.String(), Time: now}}
		}
		for _, f := range r.found {
			d.Checks[r.name] = append(d.Checks[r.name], healthComponent{f.Component, f.Status.String(), f.Observed, f.Unit, now, f.Text})
		}
	}
	return d
}
