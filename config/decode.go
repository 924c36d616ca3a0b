package config

import (
	"cmp"
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// decode puts the tree v, found at path, into to, which must be settable. It reports what does not
// fit and leaves that part of to unchanged.
func (r *report) decode(path string, v any, to reflect.Value) {
	if v == nil {
		return
	}
	if made, ok := v.(value); ok {
		r.assign(path, made, to)
		return
	}
	if text, ok := reflect.TypeAssert[encoding.TextUnmarshaler](to.Addr()); ok {
		if s, ok := r.scalar(path, v); ok {
			if err := text.UnmarshalText([]byte(s.Text)); err != nil {
				r.add(path, "%s", err)
			}
		}
		return
	}
	switch to.Kind() {
	case reflect.Pointer:
		to.Set(reflect.New(to.Type().Elem()))
		r.decode(path, v, to.Elem())
	case reflect.Struct:
		r.decodeStruct(path, v, to)
	case reflect.Slice:
		r.decodeSlice(path, v, to)
	case reflect.Map:
		r.decodeMap(path, v, to)
	case reflect.Interface:
		to.Set(reflect.ValueOf(plain(v)))
	default:
		if s, ok := r.scalar(path, v); ok {
			r.decodeScalar(path, s.Text, to)
		}
	}
}

// shorthand is a struct that may be written as the value of one of its keys. If that is a list, one
// of one may lack its brackets.
type shorthand interface{ short() (key string) }

func (r *report) decodeStruct(path string, v any, to reflect.Value) {
	tree, ok := v.(map[string]any)
	if s, short := reflect.TypeAssert[shorthand](to); short && !ok {
		value := field(to, s.short())
		if one, ok := v.(scalar); ok && !one.Flat && value.Kind() == reflect.Slice {
			v = []any{v}
		}
		r.decode(path, v, value)
		return
	}
	if !ok {
		r.add(path, "must be a mapping of keys")
		return
	}
	fields := make(map[string]reflect.Value)
	for field, value := range to.Fields() {
		if key := field.Tag.Get("koanf"); key != "" && key != "-" {
			fields[key] = value
		}
	}
	for _, key := range sortedKeys(tree) {
		child := join(path, key)
		value, ok := fields[key]
		if !ok {
			r.add(child, "unknown key%s", cmp.Or(suggest(key, sortedKeys(fields)), misplaced(path, key, tree[key])))
			continue
		}
		r.decode(child, tree[key], value)
	}
}

// misplaced explains where an endpoint belongs that was written with its name as a key.
func misplaced(path, key string, v any) string {
	fields, ok := v.(map[string]any)
	if _, has := fields["protocol"]; !ok || !has && fields["listen"] == nil {
		return ""
	}
	switch {
	case path == "":
		return `; an endpoint is an entry of endpoints: "- name: ` + key + `", and its keys below`
	case strings.HasPrefix(path, "endpoints."):
		return `; write "name: ` + key + `", and its keys beside it`
	}
	return ""
}

// field returns the field of a struct for a key.
func field(of reflect.Value, key string) (found reflect.Value) {
	for f, value := range of.Fields() {
		if f.Tag.Get("koanf") == key {
			found = value
		}
	}
	return found
}

func (r *report) decodeSlice(path string, v any, to reflect.Value) {
	var items []any
	switch v := v.(type) {
	case []any:
		items = v
	case map[string]any: // one of lists
		if !slices.Contains(lists, path) {
			r.add(path, "must be a list")
			return
		}
		for i := range len(v) {
			items = append(items, v[strconv.Itoa(i)])
		}
	case scalar:
		if !v.Flat {
			r.add(path, "must be a list%s", listOf(v, to.Type().Elem()))
			return
		}
		if list, ok := v.Typed.([]any); ok {
			for _, item := range list {
				items = append(items, scalar{Text: fmt.Sprint(item), Typed: item, Flat: true})
			}
			break
		}
		for item := range strings.SplitSeq(v.Text, ",") {
			items = append(items, scalar{Text: strings.TrimSpace(item), Typed: item, Flat: true})
		}
	}
	slice := reflect.MakeSlice(to.Type(), len(items), len(items))
	for i, item := range items {
		child := join(path, strconv.Itoa(i))
		if item == nil {
			r.add(child, "must not be empty")
		}
		r.decode(child, item, slice.Index(i))
	}
	to.Set(slice)
}

// listOf shows how to write the list whose only value is v.
func listOf(v scalar, of reflect.Type) string {
	if of.Kind() == reflect.Struct && !reflect.PointerTo(of).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return " of entries, each with a dash before its first key"
	}
	text := v.Text
	if plain := []any(nil); yaml.Unmarshal([]byte("["+text+"]"), &plain) != nil || len(plain) != 1 {
		text = strconv.Quote(text)
	}
	return " such as [" + text + "]"
}

func (r *report) decodeMap(path string, v any, to reflect.Value) {
	tree, ok := v.(map[string]any)
	if !ok {
		r.add(path, "must be a mapping of keys")
		return
	}
	m := reflect.MakeMapWithSize(to.Type(), len(tree))
	for _, key := range sortedKeys(tree) {
		value := reflect.New(to.Type().Elem()).Elem()
		r.decode(join(path, key), tree[key], value)
		m.SetMapIndex(reflect.ValueOf(key).Convert(to.Type().Key()), value)
	}
	to.Set(m)
}

// scalar returns v if it is a single value.
func (r *report) scalar(path string, v any) (scalar, bool) {
	s, ok := v.(scalar)
	if !ok {
		r.add(path, "must be a single value")
	}
	return s, ok
}

func (r *report) decodeScalar(path, text string, to reflect.Value) {
	switch {
	case to.Type() == reflect.TypeFor[time.Duration]():
		if d, err := time.ParseDuration(text); err == nil {
			to.SetInt(int64(d))
		} else {
			r.add(path, "must be a duration such as 30s or 5m, not %q", text)
		}
	case to.Kind() == reflect.String:
		to.SetString(text)
	case to.Kind() == reflect.Bool:
		if text == "true" || text == "false" {
			to.SetBool(text == "true")
		} else {
			r.add(path, "must be true or false, not %q", text)
		}
	case to.CanInt():
		if n, err := strconv.ParseInt(text, 10, to.Type().Bits()); err == nil {
			to.SetInt(n)
		} else {
			r.add(path, "must be a whole number, not %q", text)
		}
	case to.CanUint():
		if n, err := strconv.ParseUint(text, 10, to.Type().Bits()); err == nil {
			to.SetUint(n)
		} else {
			r.add(path, "must be a whole number from 0 to %d, not %q", ^uint64(0)>>(64-to.Type().Bits()), text)
		}
	case to.CanFloat():
		if n, err := strconv.ParseFloat(text, to.Type().Bits()); err == nil {
			to.SetFloat(n)
		} else {
			r.add(path, "must be a number, not %q", text)
		}
	default:
		// No configuration can set a field of such a type; the first test that sets the option
		// shows it.
		r.add(path, "cannot be set from a configuration: %s", to.Type())
	}
}

// plain returns v with every scalar as YAML reads it.
func plain(v any) any {
	switch v := v.(type) {
	case scalar:
		return v.Typed
	case value:
		return v.Interface()
	case []any:
		items := make([]any, len(v))
		for i, item := range v {
			items[i] = plain(item)
		}
		return items
	case map[string]any:
		m := make(map[string]any, len(v))
		for key, item := range v {
			m[key] = plain(item)
		}
		return m
	}
	return v
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
