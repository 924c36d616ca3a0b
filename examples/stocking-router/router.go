package main

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strconv"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/core"
)

// RouterPackage is one call of a route.
type RouterPackage struct {
	Client core.Client
	Route  string
	// Body is a pointer to a new value of the type of the route's hint; without a hint,
	// to a map for a JSON object or null, and else the plain value.
	Body any
}

// RouterHandler answers the calls of a route: with a result, which is sent as JSON, an
// error, or neither.
type RouterHandler = func(p *RouterPackage) (any, error)

// RouterError is an error with a code of its own; that of other errors is 0.
type RouterError struct {
	Code int
	Text string
}

func (e RouterError) Error() string { return e.Text }

// On adds a route handler.
func On(broker *polywire.Broker, route string, handler RouterHandler, typeHint any) {
	broker.Handle(route, routed(handler, typeHint))
}

// Otherwise adds the handler of unknown routes.
func Otherwise(broker *polywire.Broker, handler RouterHandler) {
	broker.Otherwise(routed(handler, nil))
}

func routed(handler RouterHandler, typeHint any) core.Handler {
	return func(_ context.Context, c core.Invocation) (core.Payload, error) {
		body, err := unserialize(core.AppendJSON(nil, c.Payload), typeHint)
		if err != nil {
			return core.Payload{}, failure(err)
		}
		result, err := handler(&RouterPackage{Client: c.Caller.Client(), Route: c.Service, Body: body})
		switch {
		case err != nil:
			return core.Payload{}, failure(err)
		case result == nil:
			return core.Payload{}, nil
		}
		data, err := json.Marshal(result)
		return core.Payload{Kind: core.JSON, Data: data}, err
	}
}

// unserialize returns the body of a call.
func unserialize(raw []byte, typeHint any) (any, error) {
	if typeHint != nil {
		body := reflect.New(reflect.TypeOf(typeHint)).Interface()
		return body, json.Unmarshal(raw, body)
	}
	object := new(map[string]any)
	if json.Unmarshal(raw, object) == nil {
		return object, nil
	}
	var value any
	err := json.Unmarshal(raw, &value)
	return value, err
}

// failure returns what the client is told of an error: code and text, as by stocking.
// polywire tells no details of an error that is not a core.Failure.
func failure(err error) core.Failure {
	code := 0
	if own, ok := errors.AsType[RouterError](err); ok {
		code = own.Code
	}
	return core.Failure{Code: core.Code(strconv.Itoa(code)), Text: err.Error()}
}

func text(s string) core.Payload { return core.Payload{Kind: core.Text, Data: []byte(s)} }
