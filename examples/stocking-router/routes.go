package main

import "github.com/polywire/polywire"

// The routes of stocking's README, as they were but for the name of its package.

type person struct {
	Name string `json:"name"`
}

func echo(p *RouterPackage) (any, error) {
	return p.Body, nil
}

func greet(p *RouterPackage) (any, error) {
	body, _ := p.Body.(*person)

	if body.Name == "doge" {
		return "Hello " + body.Name, nil
	}

	return nil, RouterError{Code: 7, Text: "Who are you?"}
}

func otherwise(*RouterPackage) (any, error) {
	return "oops", nil
}

// trace answers with the path that the call has taken.
func trace(p *RouterPackage) (any, error) {
	way, _ := p.Body.(*[]string)
	return append(*way, "route"), nil
}

// Stocking could not do what follows: a route that broadcasts to a room. Clients of all
// formats hear it.

type announcement struct {
	Room string `json:"room"`
	Text string `json:"text"`
}

func announceTo(broker *polywire.Broker) RouterHandler {
	return func(p *RouterPackage) (any, error) {
		a, _ := p.Body.(*announcement)
		return nil, broker.Publish("games", a.Room, text(a.Text))
	}
}
