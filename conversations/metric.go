package conversations

import (
	"fmt"
	"strconv"
	"strings"
)

// sumMetric adds up the series called name that have all the labels, on a page in the Prometheus
// text format. related lists the other series of that name.
func sumMetric(page, name string, labels map[string]string) (sum float64, related string) {
	var others []string
	for line := range strings.SplitSeq(page, "\n") {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || rest == "" || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		has, rest, err := parseLabels(rest)
		if err != nil {
			continue
		}
		value, err := strconv.ParseFloat(strings.Fields(rest + " 0")[0], 64)
		if err != nil {
			continue
		}
		if !hasLabels(has, labels) {
			if value != 0 {
				others = append(others, line)
			}
			continue
		}
		sum += value
	}
	if len(others) > 0 {
		related = "other series that are not 0: " + strings.Join(others, ", ")
	}
	return sum, related
}

func hasLabels(has, want map[string]string) bool {
	for name, value := range want {
		if has[name] != value {
			return false
		}
	}
	return true
}

// parseLabels parses an optional {name="value",…} at the beginning of s.
func parseLabels(s string) (labels map[string]string, rest string, err error) {
	labels = map[string]string{}
	s, ok := strings.CutPrefix(s, "{")
	if !ok {
		return labels, s, nil
	}
	for {
		s = strings.TrimLeft(s, ", ")
		if rest, ok := strings.CutPrefix(s, "}"); ok {
			return labels, rest, nil
		}
		name, value, ok := strings.Cut(s, "=")
		if !ok {
			return nil, "", fmt.Errorf("the labels do not end in }")
		}
		if labels[name], s, err = cutQuoted(value); err != nil {
			return nil, "", err
		}
	}
}
