package places

import (
	"context"
	"fmt"

	"github.com/polywire/polywire/core"
)

// Users is core.Places. Any goroutine.
type Users struct{ table *Table } // static

var _ core.Places = (*Users)(nil)

// Users returns the places of users.
func (t *Table) Users() *Users { return &Users{t} }

// Join takes one of limit places. While there is no connection it does not wait for one.
func (u *Users) Join(ctx context.Context, name string, limit int) error {
	t := u.table
	if !t.connected() {
		return errAway
	}
	ctx, cancel := context.WithTimeout(ctx, userPatience)
	defer cancel()
	e, err := t.lock(ctx, nameOf(userNames, name))
	if err != nil {
		return fmt.Errorf("counting the connections of a user: %w", err)
	}
	defer t.unlock(e)
	err = t.update(ctx, e, func(v *sight) (verdict, int, error) {
		if limit > 0 && v.held+v.others >= limit {
			return keep, 0, core.ErrNoPlace
		}
		if v.record == nil {
			v.record = new(record)
		}
		v.use(v.now, userAge)
		return write, v.held + 1, nil
	})
	if err != nil {
		return fmt.Errorf("counting the connections of a user: %w", err)
	}
	t.taken(e, "")
	return nil
}

// Take takes a place whether there is one or not, and counts that.
func (u *Users) Take(name string) {
	t := u.table
	t.o.Stats.Uncounted.Add(1)
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entryOf(nameOf(userNames, name))
	e.held++
	t.settleSoon(e)
}

// Leave gives a place back.
func (u *Users) Leave(name string) { u.table.give(nameOf(userNames, name)) }
