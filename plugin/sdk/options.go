package sdk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/go-viper/mapstructure/v2"

	"github.com/polywire/polywire/core"
)

// optionsOf returns the options struct of p, filled in from a JSON object whose keys are
// the struct's koanf tags. The error joins one error for each fault.
func optionsOf(p core.Protocol, object []byte) (any, error) {
	given := map[string]any{}
	if len(object) > 0 {
		d := json.NewDecoder(bytes.NewReader(object))
		d.UseNumber() // a big number stays what it is
		if err := d.Decode(&given); err != nil {
			return nil, fmt.Errorf("reading the options: %w", err)
		}
	}
	if p.Options == nil {
		if len(given) > 0 {
			return nil, fmt.Errorf("the protocol %s has no options", p.Name)
		}
		return nil, nil
	}
	options := p.Options()
	forget(reflect.ValueOf(options).Elem(), given)
	var known mapstructure.Metadata
	d, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		Result: options, TagName: "koanf", Metadata: &known, WeaklyTypedInput: true,
		DecodeHook: mapstructure.ComposeDecodeHookFunc(
			mapstructure.StringToTimeDurationHookFunc(),
			mapstructure.TextUnmarshallerHookFunc(),
			mapstructure.StringToSliceHookFunc(","),
		),
	})
	if err != nil {
		return nil, fmt.Errorf("reading the options: %w", err)
	}
	faults := faultsOf(d.Decode(given))
	slices.Sort(known.Unused)
	for _, key := range known.Unused {
		faults = append(faults, fmt.Errorf("%s: unknown key", key))
	}
	return options, errors.Join(faults...)
}

// forget clears the given fields of interface type: otherwise their defaults would
// determine the type.
func forget(options reflect.Value, given map[string]any) {
	for field, value := range options.Fields() {
		v, ok := given[field.Tag.Get("koanf")]
		switch below, nested := v.(map[string]any); {
		case !ok:
		case value.Kind() == reflect.Interface:
			value.SetZero()
		case value.Kind() == reflect.Struct && nested:
			forget(value, below)
		}
	}
}

// faultsOf returns the faults in an error of mapstructure, each as "key: text".
func faultsOf(err error) []error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var faults []error
		for _, one := range joined.Unwrap() {
			faults = append(faults, faultsOf(one)...)
		}
		return faults
	}
	if fault, ok := errors.AsType[*mapstructure.DecodeError](err); ok && fault.Name() != "" {
		return []error{fmt.Errorf("%s: %w", fault.Name(), fault.Unwrap())}
	}
	return []error{err}
}
