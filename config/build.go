package config

import (
	"crypto/tls"
	"encoding"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/polywire/polywire/core"
)

// Build checks a configuration that a program has made, and returns it with what it leaves out filled in; cfg
// is not changed. The defaults, checks and faults are those of [Load]: a fault names the key as the file
// would, such as endpoints[0].max_message_size, and has no line.
//
// A field that is zero is left out, and a negative duration stands for 0, as in PingInterval: -1 for no pings.
// Two keys are always as they are in cfg: Admin.Listen, of which "" turns the server off, and Match of a service.
// The Options of an endpoint are a pointer to its format's options struct, of which fields that are zero are left
// out too, or a map[string]any with the keys and values of the file. Format is left to Build.
//
// protocols are the formats that an endpoint may name, and plugin is that of [Source].
func Build(cfg Config, protocols []core.Protocol, plugin func(endpoint string, p Plugin) (core.Protocol, error)) (*Config, error) {
	r := &report{written: make(map[string]position)}
	tree, _ := written(reflect.ValueOf(cfg)).(map[string]any)
	for _, list := range lists {
		if entries, ok := tree[list].([]any); ok {
			tree[list] = numbered(entries)
		}
	}
	services := mapOf(tree["services"])
	for i, s := range cfg.Services {
		mapOf(services[strconv.Itoa(i)])["match"] = value{reflect.ValueOf(s.Match)}
	}
	if tree["admin"] == nil {
		tree["admin"] = map[string]any{}
	}
	mapOf(tree["admin"])["listen"] = value{reflect.ValueOf(cfg.Admin.Listen)}
	built := r.read(tree, protocols, plugin)
	if len(r.problems) > 0 {
		return nil, r.sorted()
	}
	return built, nil
}

// Built reports whether c was loaded or built: every endpoint has its format. The error names an endpoint
// without one beside others that have one.
func (c *Config) Built() (bool, error) {
	with := 0
	without := ""
	for i := range c.Endpoints {
		if c.Endpoints[i].Format != nil {
			with++
		} else {
			without = c.Endpoints[i].Name
		}
	}
	if with > 0 && with < len(c.Endpoints) {
		return false, fmt.Errorf("endpoint %q was added to a configuration that was loaded or built before; add it first, and build all of it", without)
	}
	return with > 0, nil
}

// value is a leaf of the tree that a program has made. It is assigned as it is.
type value struct{ reflect.Value }

// written returns the tree of what is given in a value of the configuration.
func written(v reflect.Value) any {
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]() && v.Int() < 0:
		return value{reflect.ValueOf(time.Duration(0))}
	case reflect.PointerTo(v.Type()).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		return value{v}
	}
	switch v.Kind() {
	case reflect.Pointer:
		return written(v.Elem())
	case reflect.Interface:
		return loose(v.Elem())
	case reflect.Struct:
		return fields(v)
	case reflect.Slice:
		return elements(v)
	}
	return value{v}
}

// fields returns the tree of a struct: the fields that are not zero, by their keys.
func fields(v reflect.Value) map[string]any {
	tree := make(map[string]any)
	for f, one := range v.Fields() {
		if key := f.Tag.Get("koanf"); key != "" && key != "-" && !one.IsZero() {
			tree[key] = written(one)
		}
	}
	return tree
}

// elements returns the tree of a slice: a list if its elements have keys or may need checks of their own.
func elements(v reflect.Value) any {
	of := v.Type().Elem()
	if of.Kind() == reflect.Struct && !reflect.PointerTo(of).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		list := make([]any, v.Len())
		for i := range list {
			list[i] = written(v.Index(i))
		}
		return list
	}
	// The checks rewrite some of them.
	own := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
	reflect.Copy(own, v)
	return value{own}
}

// loose returns the tree of a value whose type the configuration does not fix, such as options: a map with
// keys is read like the file.
func loose(v reflect.Value) any {
	switch of := v.Interface().(type) {
	case map[string]any:
		tree := make(map[string]any, len(of))
		for key, one := range of {
			if one != nil {
				tree[key] = loose(reflect.ValueOf(one))
			}
		}
		return tree
	case []any:
		list := make([]any, len(of))
		for i, one := range of {
			if one != nil {
				list[i] = loose(reflect.ValueOf(one))
			}
		}
		return list
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return written(v)
	case reflect.Struct, reflect.Slice:
		return written(v)
	case reflect.Map:
		return value{v}
	}
	return scalar{Text: fmt.Sprint(v), Typed: v.Interface()}
}

// numbered returns a list as the tree has one of lists.
func numbered(list []any) map[string]any {
	tree := make(map[string]any, len(list))
	for i, one := range list {
		tree[strconv.Itoa(i)] = one
	}
	return tree
}

// assign puts a value that a program has made into to.
func (r *report) assign(path string, v value, to reflect.Value) {
	if !v.Type().AssignableTo(to.Type()) {
		r.add(path, "must be a %s, not a %s", to.Type(), v.Type())
		return
	}
	to.Set(v.Value)
	r.checkValue(path, v.Value)
	if v.Kind() == reflect.Slice {
		for i := range v.Len() {
			r.checkValue(join(path, strconv.Itoa(i)), v.Index(i))
		}
	}
}

// checkValue checks a value that a file could not even write down wrong.
func (r *report) checkValue(path string, v reflect.Value) {
	if one, ok := reflect.TypeAssert[interface{ check() error }](v); ok {
		if err := one.check(); err != nil {
			r.add(path, "%s", err)
		}
	}
}

func (s Size) check() error {
	if s < 0 || s > maxSize {
		return fmt.Errorf("must be from 0 to %s", Size(maxSize))
	}
	return nil
}

func (r Rate) check() error {
	if r.N < 0 || r.Per < 0 || (r.N == 0) != (r.Per == 0) {
		return errors.New("must be a number and a period, both more than 0, or both 0")
	}
	return nil
}

func (w Watermark) check() error {
	if w.Percent < 0 || w.Percent > 100 || w.Percent > 0 && w.Size != 0 {
		return errors.New("must be a part from 1 to 100 percent, or a size")
	}
	return w.Size.check()
}

func (c CIDR) check() error {
	switch p := c.Prefix; {
	case p.Addr().Is4In6():
		return fmt.Errorf("must be IPv4 addresses, not %q", p)
	case p != p.Masked():
		return fmt.Errorf("%q has bits behind its prefix; did you mean %q?", p, p.Masked())
	}
	return nil
}

func (p Place) check() error {
	text := p.In
	if p.Name != "" {
		text += ":" + p.Name
	}
	return new(Place).UnmarshalText([]byte(text))
}

func (v TLSVersion) check() error {
	if v != 0 && v != tls.VersionTLS12 && v != tls.VersionTLS13 {
		return fmt.Errorf("must be 1.2 or 1.3, not %s", tls.VersionName(uint16(v)))
	}
	return nil
}

func (c Curve) check() error {
	if !slices.Contains(slices.Collect(maps.Values(curves)), tls.CurveID(c)) {
		return fmt.Errorf("unknown curve %s; there is %s", tls.CurveID(c), strings.Join(sortedKeys(curves), ", "))
	}
	return nil
}

func (c CipherSuite) check() error {
	return new(CipherSuite).UnmarshalText([]byte(tls.CipherSuiteName(uint16(c))))
}

func (a ClientAuth) check() error {
	if !slices.Contains(slices.Collect(maps.Values(clientAuths)), tls.ClientAuthType(a)) {
		return fmt.Errorf("must be none, request or require, not %s", tls.ClientAuthType(a))
	}
	return nil
}
