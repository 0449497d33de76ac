package main

import (
	"encoding/json"
	"net/http"
	"sync/atomic"
)

// A user is what the user-service knows of one.
type user struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Since int    `json:"since"` // the year
}

var everybody = map[string]user{
	"ann": {"ann", "Ann", 2012},
	"bob": {"bob", "Bob", 2019},
	"cem": {"cem", "Cem", 2021},
}

// users is the user-service. When it is ill it takes calls and never answers.
type users struct {
	ill   atomic.Bool
	calls atomic.Int64 // that reached it
}

func (u *users) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.calls.Add(1)
	if u.ill.Load() {
		<-r.Context().Done()
		return
	}
	one, ok := everybody[r.PathValue("id")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(one) // a client that has left
}
