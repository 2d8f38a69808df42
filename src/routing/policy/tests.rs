//! Fairness, order and the promise never to choose what was tried.
