//! Named dimensions: the *name* of every axis is known to the compiler, its size is a number from the file.
//!
//! A shape is a tuple of one to three dimensions, so its rank is known at compile time too. From it follow two families
//! of neighbours: [`Drop<I>`] is the shape without axis `I`, [`Larger<N, I>`] the one with a further axis `N` at `I`.

use std::fmt::Debug;

/// One named axis. [`dims!`](crate::dims) declares them.
pub trait Dim: Copy + PartialEq + Debug + 'static {
    /// The axis's name, for messages.
    const NAME: &'static str;

    /// The axis with `size` entries.
    fn new(size: usize) -> Self;

    /// How many entries it has.
    fn size(self) -> usize;
}

/// Declares named dimensions, each a tuple struct around its size.
///
/// ```
/// lucid::dims! {
///     /// Tokens of one step.
///     Tok,
///     /// The width of the residual stream.
///     Embd,
/// }
/// use lucid::tensor::dim::{Dim, Shape};
/// assert_eq!((Tok(3), Embd(64)).len(), 192);
/// assert_eq!(Embd::NAME, "Embd");
/// ```
#[macro_export]
macro_rules! dims {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub struct $name(pub usize);

        impl $crate::tensor::dim::Dim for $name {
            const NAME: &'static str = stringify!($name);

            fn new(size: usize) -> Self {
                $name(size)
            }

            fn size(self) -> usize {
                self.0
            }
        }
    )*};
}

/// A tuple of zero to three dimensions. The empty one is what is left when the only axis is reduced away.
pub trait Shape: Copy + PartialEq + Debug + 'static {
    /// How many axes.
    const RANK: usize;

    /// The sizes, outermost first, filled up with ones.
    fn sizes(self) -> [usize; 3];

    /// The shape of these sizes; entries beyond the rank are ignored.
    fn from_sizes(sizes: [usize; 3]) -> Self;

    /// How many values a tensor of this shape has.
    fn len(self) -> usize {
        self.sizes().iter().product()
    }

    /// Whether a tensor of this shape has no values.
    fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The distance between neighbours along each axis of a contiguous tensor of this shape.
    fn strides(self) -> [usize; 3] {
        let [_, b, c] = self.sizes();
        match Self::RANK {
            0 => [0, 0, 0],
            1 => [1, 0, 0],
            2 => [b, 1, 0],
            _ => [b * c, c, 1],
        }
    }
}

/// Axis `I` exists, and this is its dimension.
pub trait Axis<const I: usize>: Shape {
    /// The dimension of axis `I`.
    type Name: Dim;
}

/// The shape without axis `I`.
pub trait Drop<const I: usize>: Axis<I> {
    /// What is left.
    type Smaller: Shape;
}

/// The shape with a further axis `N` at place `I`.
pub trait Larger<N: Dim, const I: usize>: Shape {
    /// What results.
    type Out: Shape;
}

macro_rules! shape {
    ($rank:literal: $($name:ident $i:tt),*) => {
        impl<$($name: Dim),*> Shape for ($($name,)*) {
            const RANK: usize = $rank;

            fn sizes(self) -> [usize; 3] {
                #[allow(unused_mut, reason = "the empty shape sets nothing")]
                let mut sizes = [1; 3];
                $(sizes[$i] = self.$i.size();)*
                sizes
            }

            #[allow(unused_variables, clippy::unused_unit, reason = "the empty shape reads nothing")]
            fn from_sizes(sizes: [usize; 3]) -> Self {
                ($($name::new(sizes[$i]),)*)
            }
        }
    };
}

shape!(0:);
shape!(1: A 0);
shape!(2: A 0, B 1);
shape!(3: A 0, B 1, C 2);

macro_rules! axes {
    ($(($($all:ident),*) at $i:literal is $name:ident leaves ($($rest:ident),*);)*) => {$(
        impl<$($all: Dim),*> Axis<$i> for ($($all,)*) {
            type Name = $name;
        }

        impl<$($all: Dim),*> Drop<$i> for ($($all,)*) {
            type Smaller = ($($rest,)*);
        }

        impl<$($all: Dim),*> Larger<$name, $i> for ($($rest,)*) {
            type Out = ($($all,)*);
        }
    )*};
}

axes! {
    (A) at 0 is A leaves ();
    (A, B) at 0 is A leaves (B);
    (A, B) at 1 is B leaves (A);
    (A, B, C) at 0 is A leaves (B, C);
    (A, B, C) at 1 is B leaves (A, C);
    (A, B, C) at 2 is C leaves (A, B);
}

#[cfg(test)]
mod tests {
    use super::*;

    dims! { X, Y, Z }

    #[test]
    fn shapes_know_sizes_strides_and_neighbours() {
        assert_eq!((X(2), Y(3), Z(4)).strides(), [12, 4, 1]);
        assert_eq!(<(X, Y)>::from_sizes([5, 6, 1]), (X(5), Y(6)));
        assert_eq!(().len(), 1);
        assert!((X(0), Y(3)).is_empty());
        fn same<A: 'static, B: 'static>() -> bool {
            std::any::TypeId::of::<A>() == std::any::TypeId::of::<B>()
        }
        assert!(same::<<(X, Y, Z) as Drop<1>>::Smaller, (X, Z)>());
        assert!(same::<<(X, Z) as Larger<Y, 1>>::Out, (X, Y, Z)>());
        assert!(same::<<() as Larger<Y, 0>>::Out, (Y,)>());
    }
}
