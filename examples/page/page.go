package main

import "example.com/fx"

// A page is what a shopper sees of a product. The parts that can be second best say so themselves.
type page struct {
	details details
	price   fx.Result[cents]
	reviews fx.Result[[]review]
	advice  fx.Result[[]string]
}

type details struct{ Name, About string }

// cents is a price; 0 is one that nobody knows.
type cents int

type review struct {
	Stars int
	Text  string
}

// page asks for all parts at once, and ends with the first that must be there and is not. The Result around it hears of
// every fallback inside.
func (s *shop) page(id string) fx.Op[fx.Result[page]] {
	goods := fx.Zip(ask[details](s.details, id), s.priceOf(id), withPrice)
	talk := fx.Zip(s.reviewsOf(id), s.adviceOn(id), withAdvice)
	return fx.WithDegraded(fx.Zip(goods, talk, joined))
}

// priceOf is the price of today, or the last one known, or none.
func (s *shop) priceOf(id string) fx.Op[fx.Result[cents]] {
	today := fx.Remember(ask[cents](s.price, id), &s.prices, id)
	return fx.WithDegraded(today, s.prices.Recall(id), fx.Value(cents(0)))
}

// reviewsOf is what others say, or nothing.
func (s *shop) reviewsOf(id string) fx.Op[fx.Result[[]review]] {
	return fx.WithDegraded(ask[[]review](s.reviews, id), fx.Value[[]review](nil))
}

// adviceOn is what fits the product, or what everybody likes.
func (s *shop) adviceOn(id string) fx.Op[fx.Result[[]string]] {
	popular := []string{"a mug", "a gift card"}
	return fx.WithDegraded(ask[[]string](s.advice, id), fx.Value(popular))
}

func withPrice(d details, c fx.Result[cents]) (page, error) { return page{details: d, price: c}, nil }

func withAdvice(r fx.Result[[]review], a fx.Result[[]string]) (page, error) {
	return page{reviews: r, advice: a}, nil
}

func joined(goods, talk page) (page, error) {
	goods.reviews, goods.advice = talk.reviews, talk.advice
	return goods, nil
}
