package config

import (
	"encoding"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/knadh/koanf/v2"
	"go.yaml.in/yaml/v3"
)

// envPrefix is the prefix of the environment variables that are read.
const envPrefix = "POLYWIRE_"

// Override sets one key over the file and the environment.
type Override struct {
	// From is the source of the override, for errors: "--set".
	From string
	// Key is written with dots: endpoints.web.listen.
	Key string
	// Value is the text of the value.
	Value string
}

// environment returns the overrides in environ, which has the form of os.Environ.
func environment(environ []string) []Override {
	var found []Override
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		key, ok := strings.CutPrefix(name, envPrefix)
		if ok && strings.Contains(key, "__") {
			key = strings.ToLower(strings.ReplaceAll(key, "__", "."))
			found = append(found, Override{From: name, Key: key, Value: value})
		}
	}
	slices.SortFunc(found, func(a, b Override) int { return strings.Compare(a.From, b.From) })
	return found
}

// mistaken reports variables that name a key with single underscores: the configuration does not
// read them, but their author expects it to. Other variables without two underscores belong to
// somebody else, such as those that Kubernetes sets for a service.
func (r *report) mistaken(environ []string, tree map[string]any) {
	var names []string
	for _, fields := range mapOf(tree["endpoints"]) {
		if name, ok := mapOf(fields)["name"].(scalar); ok {
			names = append(names, canonical(name.Text))
		}
	}
	for _, variable := range environ {
		name, _, _ := strings.Cut(variable, "=")
		key, ours := strings.CutPrefix(name, envPrefix)
		if !ours || strings.Contains(key, "__") {
			continue
		}
		if path := pathOf(strings.ToLower(key), reflect.TypeFor[Config](), names); path != "" {
			right := envPrefix + strings.ToUpper(strings.ReplaceAll(path, ".", "__"))
			r.addAt(position{file: name}, "", "is not read; %s is set with %s, with two underscores between the parts of the key", path, right)
		}
	}
}

func mapOf(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

// pathOf returns the key below a struct that flat names with underscores instead of dots; "" if
// there is none. names are the names of the endpoints.
func pathOf(flat string, of reflect.Type, names []string) string {
	for f := range of.Fields() {
		key := f.Tag.Get("koanf")
		if flat == key && (f.Type.Kind() != reflect.Struct || reflect.PointerTo(f.Type).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())) {
			return key
		}
		rest, ok := strings.CutPrefix(flat, key+"_")
		if !ok || key == "" || key == "-" {
			continue
		}
		below := ""
		switch {
		case f.Type.Kind() == reflect.Struct:
			below = pathOf(rest, f.Type, nil)
		case f.Type.Kind() == reflect.Interface:
			below = rest // options; only the format knows them
		case key == "endpoints":
			for _, name := range names {
				if inner, ok := strings.CutPrefix(rest, name+"_"); ok {
					if inner = pathOf(inner, f.Type.Elem(), nil); inner != "" {
						below = name + "." + inner
					}
				}
			}
		}
		if below != "" {
			return key + "." + below
		}
	}
	return ""
}

// override sets o in the tree.
func (r *report) override(tree *koanf.Koanf, o Override) {
	path, ok := r.resolve(tree, o)
	if !ok {
		return
	}
	s := scalar{Text: o.Value, Typed: o.Value, Flat: true}
	if err := yaml.Unmarshal([]byte(o.Value), &s.Typed); err != nil || s.Typed == nil {
		s.Typed = o.Value
	}
	for i, c := range path {
		if _, ok := r.written[path[:i]]; c == '.' && !ok {
			r.written[path[:i]] = position{file: o.From}
		}
	}
	r.written[path] = position{file: o.From}
	if err := tree.Set(path, s); err != nil {
		r.add(path, "%s", err)
	}
}

// resolve turns endpoints.web.listen into endpoints.2.listen.
func (r *report) resolve(tree *koanf.Koanf, o Override) (string, bool) {
	list, rest, _ := strings.Cut(o.Key, ".")
	if !slices.Contains(lists, list) {
		return o.Key, true
	}
	entry, rest, more := strings.Cut(rest, ".")
	if !more {
		r.addAt(position{file: o.From}, o.Key, "names no single value; write %s.NAME.KEY", list)
		return "", false
	}
	entries, _ := tree.Raw()[list].(map[string]any)
	var names []string
	for i := range len(entries) {
		index := strconv.Itoa(i)
		fields, _ := entries[index].(map[string]any)
		name, named := fields["name"].(scalar)
		if named && sameName(name.Text, entry) || index == entry {
			return list + "." + index + "." + rest, true
		}
		if named {
			names = append(names, name.Text)
		}
	}
	r.addAt(position{file: o.From}, o.Key, "there is no %q in %s%s", entry, list, suggest(entry, names))
	return "", false
}

// sameName reports whether environment variables cannot tell two names apart.
func sameName(a, b string) bool { return canonical(a) == canonical(b) }

func canonical(name string) string {
	return strings.ToLower(strings.ReplaceAll(name, "-", "_"))
}
