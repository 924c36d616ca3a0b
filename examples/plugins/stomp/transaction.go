package main

import "github.com/polywire/polywire/core"

const (
	// maxTransactions is how many transactions a connection may have at once.
	maxTransactions = 16
	// sentCost is what a frame in a transaction costs beside its bytes.
	sentCost = 256
)

// transactions holds the open transactions of one connection, with what was sent in them.
type transactions struct {
	open map[string]*transaction
	size int // of all of them together, in bytes
}

type transaction struct {
	sent []core.Command
	size int
}

var (
	errBegun           = malformed("this transaction has begun already")
	errNoTransaction   = malformed("there is no such transaction")
	errTransactions    = fault{core.ReasonOverload, core.Failure{Code: core.Overloaded, Text: "the connection has too many transactions"}}
	errTransactionSize = fault{core.ReasonTooLarge, core.Failure{Code: core.Overloaded, Text: "the transactions of the connection hold too much"}}
)

// of returns an open transaction.
func (t *transactions) of(name []byte) (*transaction, error) {
	if one := t.open[string(name)]; one != nil {
		return one, nil
	}
	return nil, errNoTransaction
}

// add adds a copy of cmd to one of the transactions, which together may hold limit bytes. The
// copy answers no receipt: SEND and COMMIT do that.
func (t *transactions) add(one *transaction, cmd core.Command, limit int) error {
	cmd.Ref = withoutReceipt(cmd.Ref)
	size := sentCost + len(cmd.Ref) + len(cmd.Topic) + len(cmd.Payload.Data) + len(cmd.Headers) + len(cmd.Failure.Text)
	if t.size+size > limit {
		return errTransactionSize
	}
	one.sent = append(one.sent, cmd.Clone())
	one.size += size
	t.size += size
	return nil
}

// end removes a transaction.
func (t *transactions) end(f *frame) (*transaction, error) {
	name, err := f.need("transaction")
	if err != nil {
		return nil, err
	}
	one, err := t.of(name)
	if err != nil {
		return nil, err
	}
	delete(t.open, string(name))
	t.size -= one.size
	return one, nil
}

// begin handles BEGIN.
func (c *codec) begin(f *frame, to core.Sink) error {
	name, err := f.need("transaction")
	t := &c.transactions
	switch {
	case err != nil:
		return err
	case t.open[string(name)] != nil:
		return errBegun
	case len(t.open) >= maxTransactions:
		return errTransactions
	case t.open == nil:
		t.open = make(map[string]*transaction)
	}
	t.open[string(name)] = new(transaction)
	receipt(f, to)
	return nil
}

// commit handles COMMIT: all that was sent is carried out, in order.
func (c *codec) commit(f *frame, to core.Sink) error {
	one, err := c.transactions.end(f)
	if err != nil {
		return err
	}
	for _, cmd := range one.sent {
		to.Do(cmd)
	}
	receipt(f, to)
	return nil
}

// abort handles ABORT.
func (c *codec) abort(f *frame, to core.Sink) error {
	if _, err := c.transactions.end(f); err != nil {
		return err
	}
	receipt(f, to)
	return nil
}
