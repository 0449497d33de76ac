package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"example.com/fx"
)

// An order is the state of the saga. Each step returns it with what it has learned.
type order struct {
	ID, Item string
	Cents    int
	Shelf    string // where it is reserved
	Receipt  string // of the bank
	Parcel   string // its number
}

// A shop depends on four services.
type shop struct{ stock, bank, carrier, mail *party }

func newShop(set settings, tell func(event), leave func()) *shop {
	s := &shop{
		stock:   &party{name: "stock", takes: 20 * time.Millisecond, gives: "shelf B7", refuses: "sold out"},
		bank:    &party{name: "bank", takes: 40 * time.Millisecond, gives: "receipt 1009", refuses: "card declined"},
		carrier: &party{name: "carrier", takes: 30 * time.Millisecond, gives: "parcel 42", refuses: "no courier today"},
		mail:    &party{name: "mail", takes: 10 * time.Millisecond, gives: "sent", refuses: "mailbox full"},
	}
	for i, p := range s.parties() {
		step := stepNames()[i]
		p.fault, p.stuck = set.faults[step], step == set.stuck
		p.open(tell, leave)
	}
	return s
}

// parties is in the order of the steps.
func (s *shop) parties() []*party { return []*party{s.stock, s.bank, s.carrier, s.mail} }

// steps is the saga: what to do, and how to take it back. Once the parcel is on its way there is no taking back; that
// the customer hears of it is worth one attempt.
func (s *shop) steps() []fx.Step[order] {
	return []fx.Step[order]{
		{Name: "reserve", Do: fx.Lift(s.reserve, s.stock.guarded), Undo: fx.LiftVoid(s.release, s.stock.patient)},
		{Name: "charge", Do: fx.Lift(s.charge, s.bank.guarded), Undo: fx.LiftVoid(s.refund, s.bank.patient)},
		{Name: "ship", Do: fx.Lift(s.ship, s.carrier.guarded), Pivot: true},
		{Name: "notify", Do: fx.Lift(s.notify, s.mail.once)},
	}
}

func (s *shop) reserve(ctx context.Context, o order) (_ order, err error) {
	o.Shelf, err = s.stock.do(ctx)
	return o, err
}

func (s *shop) release(ctx context.Context, _ order) error { return s.stock.undo(ctx) }

func (s *shop) charge(ctx context.Context, o order) (_ order, err error) {
	o.Receipt, err = s.bank.do(ctx)
	return o, err
}

func (s *shop) refund(ctx context.Context, _ order) error { return s.bank.undo(ctx) }

func (s *shop) ship(ctx context.Context, o order) (_ order, err error) {
	o.Parcel, err = s.carrier.do(ctx)
	return o, err
}

func (s *shop) notify(ctx context.Context, o order) (order, error) {
	_, err := s.mail.do(ctx)
	return o, err
}

// books lists the keys of what the parties have done and not taken back.
func (s *shop) books() (keys []string) {
	for _, p := range s.parties() {
		keys = slices.AppendSeq(keys, maps.Keys(p.done))
	}
	return keys
}

// place runs the saga. A panic of a step arrives here when the undoing is over; it brings no SagaError along, so the
// account of it comes from what was seen.
func (s *shop) place(ctx context.Context, o order, seen *journal) (bought order, err error) {
	defer func() {
		if p := recover(); p != nil {
			bought, err = o, seen.account(fmt.Errorf("panic: %v", p))
		}
	}()
	return fx.Saga(o, s.steps())(ctx)
}
