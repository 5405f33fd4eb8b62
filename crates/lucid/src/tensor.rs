//! Typed tensors: element type, backend, store and named shape are all in the type.
//!
//! ```text
//! Tensor<'a, T, B, S, D>
//!            │  │  │  └ shape: a tuple of named dimensions, (Tok, Embd)
//!            │  │  └ store: Owned buffer, Ref view, Load = bytes of the mapped file
//!            │  └ backend: who computes, B: SupportsDType<T>
//!            └ element type: f32 f64 f16 bf16, or Packed blocks of a run-time format
//! ```
//!
//! A model file sees only the aliases [`Act`], [`Weight`] and [`Gain`], and the operations of [`Ctx`](crate::ops::Ctx).
//! What follows here are the general operations on tensors whose values the program can touch ([`Host`] backends):
//! views, reductions along an axis, element-wise maps.
//!
//! Axes carry names, so mixing them up does not compile:
//!
//! ```compile_fail,E0308
//! use lucid::{backend::Reference, tensor::Act};
//! lucid::dims! { Tok, Embd, Ff }
//! fn residual(x: Act<Reference, (Tok, Embd)>, ff: &Act<Reference, (Tok, Ff)>) -> lucid::Result<Act<Reference, (Tok, Embd)>> {
//!     x.add(ff) // expected `Embd`, found `Ff`
//! }
//! ```
//!
//! The rank is part of the type as well; a vector has no axis 1 to reduce:
//!
//! ```compile_fail,E0277
//! use lucid::{backend::Reference, tensor::Act};
//! lucid::dims! { Embd }
//! fn wrong(x: Act<Reference, (Embd,)>) {
//!     x.sum::<1>();
//! }
//! ```
//!
//! A wrong *size* is an error that names both sides:
//!
//! ```
//! use lucid::{backend::Reference, tensor::Act};
//! lucid::dims! { Tok, Embd }
//! let a = Act::<Reference, _>::from_vec((Tok(2), Embd(3)), vec![0.0; 6])?;
//! let b = Act::<Reference, _>::from_vec((Tok(2), Embd(4)), vec![0.0; 8])?;
//! let error = a.add(&b).err().unwrap().to_string();
//! assert_eq!(error, "cannot add (Tok 2, Embd 3) and (Tok 2, Embd 4): the sizes differ");
//! # Ok::<(), lucid::Error>(())
//! ```

pub mod dim;
pub mod dtype;
pub mod store;

use crate::{Error, ErrorKind, Result};
use dim::{Axis, Dim, Drop, Larger, Shape};
pub use dtype::{DType, Element, Packed};
pub use store::{Host, Load, Owned, Readable, Ref, Store, Stored, SupportsDType, View};

/// Values of type `T` on backend `B`, kept in store `S`, of shape `D`.
pub struct Tensor<'a, T: DType, B: SupportsDType<T> + 'a, S: Store, D: Shape> {
    /// The values, or where they are.
    pub data: S::Data<'a, T, B>,
    /// The size of every axis.
    pub shape: D,
}

/// An activation: an owned f32 tensor.
pub type Act<B, D> = Tensor<'static, f32, B, Owned, D>;
/// A weight matrix as it lies in the file, in a format known at run time; row `o` makes output `o`.
pub type Weight<'a, B, Out, In> = Tensor<'a, Packed, B, Load, (Out, In)>;
/// A vector of the file: a norm's gain or a bias.
pub type Gain<'a, B, D> = Tensor<'a, f32, B, Load, (D,)>;

/// `(Tok 2, Embd 3)`: a shape for people.
pub fn describe<D: Shape>(shape: D) -> String {
    // the Debug form of a dimension is `Embd(3)`, that of a tuple adds a comma when it has one member
    let text = format!("{shape:?}").replace(",)", ")");
    let inner = text.strip_prefix('(').and_then(|t| t.strip_suffix(')')).unwrap_or(&text);
    format!("({})", inner.replace('(', " ").replace(')', ""))
}

impl<T: Element, B: Host<T>, D: Shape> Tensor<'static, T, B, Owned, D> {
    /// A tensor of these values in row-major order.
    pub fn from_vec(shape: D, values: Vec<T>) -> Result<Self> {
        if values.len() != shape.len() {
            let what = format!("{} values do not fill the shape {}", values.len(), describe(shape));
            return Err(Error::new(ErrorKind::Shape, what));
        }
        Ok(Tensor { data: B::from_vec(values), shape })
    }

    /// The values in row-major order.
    pub fn values(&self) -> &[T] {
        B::slice(&self.data)
    }
}

impl<'a, T: DType, B: SupportsDType<T>, S: Readable, D: Shape> Tensor<'a, T, B, S, D> {
    /// All of this tensor, without a copy.
    pub fn view(&self) -> Tensor<'_, T, B, Ref, D> {
        Tensor { data: S::view::<T, B, D>(&self.data, self.shape), shape: self.shape }
    }

    /// Entries `range` of axis `I`, without a copy.
    ///
    /// ```
    /// use lucid::{backend::Reference, tensor::Act};
    /// lucid::dims! { Tok, Embd }
    /// let x = Act::<Reference, _>::from_vec((Tok(2), Embd(3)), vec![0., 1., 2., 3., 4., 5.])?;
    /// assert_eq!(x.slice::<1>(1..3)?.to_vec(), [1., 2., 4., 5.]);
    /// assert_eq!(x.slice::<0>(2..3).err().unwrap().to_string(), "entries 2..3 do not lie in Tok 2");
    /// # Ok::<(), lucid::Error>(())
    /// ```
    pub fn slice<const I: usize>(&self, range: std::ops::Range<usize>) -> Result<Tensor<'_, T, B, Ref, D>>
    where
        D: Axis<I>,
    {
        let mut view = self.view();
        let mut sizes = self.shape.sizes();
        if range.start > range.end || range.end > sizes[I] {
            let what = format!("entries {}..{} do not lie in {} {}", range.start, range.end, D::Name::NAME, sizes[I]);
            return Err(Error::new(ErrorKind::Shape, what));
        }
        view.data.offset += range.start * view.data.strides[I];
        sizes[I] = range.len();
        view.shape = D::from_sizes(sizes);
        Ok(view)
    }

    /// Entry `index` of axis `I`: the tensor without that axis, without a copy.
    pub fn select<const I: usize>(&self, index: usize) -> Result<Tensor<'_, T, B, Ref, D::Smaller>>
    where
        D: Drop<I>,
    {
        let one = self.slice::<I>(index..index.saturating_add(1))?;
        Ok(Tensor {
            data: View { strides: without(one.data.strides, I, 0), ..one.data },
            shape: D::Smaller::from_sizes(without(one.shape.sizes(), I, 1)),
        })
    }

    /// The same values with an axis `N` of size one at place `I`, without a copy.
    pub fn unsqueeze<N: Dim, const I: usize>(&self) -> Tensor<'_, T, B, Ref, D::Out>
    where
        D: Larger<N, I>,
    {
        let view = self.view();
        Tensor {
            data: View { strides: with(view.data.strides, I, 0), ..view.data },
            shape: D::Out::from_sizes(with(self.shape.sizes(), I, 1)),
        }
    }
}

/// The entries without the one at `i`, filled up at the end.
fn without(mut a: [usize; 3], i: usize, fill: usize) -> [usize; 3] {
    a.copy_within(i + 1.., i);
    a[2] = fill;
    a
}

/// The entries with `value` put in at `i`; the last one (unused below rank three) falls out.
fn with(mut a: [usize; 3], i: usize, value: usize) -> [usize; 3] {
    a.copy_within(i..2, i + 1);
    a[i] = value;
    a
}

/// From this many values on, [`Tensor::par_map`] uses more than one thread. Starting two costs some 40 µs: a dear function (a
/// sine and an exponential) gains from about this many values, a cheap one (a product and a sum) gained at no size: use
/// [`Tensor::map`] for it. Measured by
/// `cargo run --release -p lucid --example par_map`; the table is in bench/RESULTS.md.
pub const PAR_MAP_MIN: usize = 1 << 15;

impl<'a, T: Element, B: Host<T>, S: Readable, D: Shape> Tensor<'a, T, B, S, D> {
    /// The value at an index: one number per axis, the rest zero. `None` outside.
    pub fn get(&self, index: [usize; 3]) -> Option<T> {
        let inside = index.iter().zip(self.shape.sizes()).all(|(&i, n)| i < n);
        let View { storage, offset, strides } = self.view().data;
        inside.then(|| B::slice(storage)[offset + (0..3).map(|i| index[i] * strides[i]).sum::<usize>()])
    }

    /// The values in row-major order, copied.
    pub fn to_vec(&self) -> Vec<T> {
        let View { storage, offset, strides } = self.view().data;
        let values = B::slice(storage);
        let [a, b, c] = self.shape.sizes();
        let mut out = Vec::with_capacity(self.shape.len());
        for i in 0..a {
            for j in 0..b {
                out.extend((0..c).map(|k| values[offset + i * strides[0] + j * strides[1] + k * strides[2]]));
            }
        }
        out
    }

    /// An owned, contiguous copy.
    pub fn to_owned(&self) -> Tensor<'static, T, B, Owned, D> {
        Tensor { data: B::from_vec(self.to_vec()), shape: self.shape }
    }

    /// `f` of every value.
    pub fn map<U: Element>(&self, f: impl Fn(T) -> U) -> Tensor<'static, U, B, Owned, D>
    where
        B: Host<U>,
    {
        Tensor { data: <B as Host<U>>::from_vec(self.to_vec().into_iter().map(f).collect()), shape: self.shape }
    }

    /// `f` of every value, on several threads when there are at least [`PAR_MAP_MIN`] of them. Each value is computed
    /// alone, so the result does not depend on the number of threads.
    pub fn par_map(&self, threads: usize, f: impl Fn(T) -> T + Sync) -> Tensor<'static, T, B, Owned, D> {
        let mut values = self.to_vec();
        let apply = |part: &mut [T]| part.iter_mut().for_each(|v| *v = f(*v));
        if values.len() < PAR_MAP_MIN || threads < 2 {
            apply(&mut values);
        } else {
            let part = values.len().div_ceil(threads);
            std::thread::scope(|scope| {
                for part in values.chunks_mut(part) {
                    scope.spawn(|| apply(part));
                }
            });
        }
        Tensor { data: B::from_vec(values), shape: self.shape }
    }

    /// Every value plus that of `other` at the same place, each rounded once.
    pub fn add<R: Readable>(&self, other: &Tensor<'_, T, B, R, D>) -> Result<Tensor<'static, T, B, Owned, D>> {
        if self.shape != other.shape {
            let (a, b) = (describe(self.shape), describe(other.shape));
            return Err(Error::new(ErrorKind::Shape, format!("cannot add {a} and {b}: the sizes differ")));
        }
        let sum = |(a, b): (T, T)| T::from_f64(a.to_f64() + b.to_f64());
        let values = self.to_vec().into_iter().zip(other.to_vec()).map(sum).collect();
        Ok(Tensor { data: B::from_vec(values), shape: self.shape })
    }

    /// Every value plus `x`.
    pub fn add_scalar(&self, x: f64) -> Tensor<'static, T, B, Owned, D> {
        self.map(|v| T::from_f64(v.to_f64() + x))
    }

    /// Every value times `x`.
    pub fn mul_scalar(&self, x: f64) -> Tensor<'static, T, B, Owned, D> {
        self.map(|v| T::from_f64(v.to_f64() * x))
    }

    /// Lets `f` change every lane along axis `I` in place: every row of a matrix for `I = 1`, every column for `I = 0`.
    pub fn map_axis<const I: usize>(&self, f: impl Fn(&mut [T])) -> Tensor<'static, T, B, Owned, D>
    where
        D: Drop<I>,
    {
        let mut values = self.to_vec();
        self.lanes::<I>(|lane, start, stride| {
            f(lane);
            for (k, v) in lane.iter().enumerate() {
                values[start + k * stride] = *v;
            }
        });
        Tensor { data: B::from_vec(values), shape: self.shape }
    }

    /// One value per lane along axis `I`: the shape loses that axis.
    pub fn reduce<const I: usize>(&self, f: impl Fn(&[T]) -> T) -> Tensor<'static, T, B, Owned, D::Smaller>
    where
        D: Drop<I>,
    {
        let mut values = Vec::new();
        self.lanes::<I>(|lane, _, _| values.push(f(lane)));
        Tensor { data: B::from_vec(values), shape: D::Smaller::from_sizes(without(self.shape.sizes(), I, 1)) }
    }

    /// Sums along axis `I`, accumulated in f64.
    ///
    /// ```
    /// use lucid::{backend::Reference, tensor::Act};
    /// lucid::dims! { Tok, Embd }
    /// let x = Act::<Reference, _>::from_vec((Tok(2), Embd(3)), vec![0., 1., 2., 3., 4., 5.])?;
    /// let per_token: Act<Reference, (Tok,)> = x.sum::<1>();
    /// let per_column: Act<Reference, (Embd,)> = x.sum::<0>();
    /// assert_eq!((per_token.values(), per_column.values()), (&[3., 12.][..], &[3., 5., 7.][..]));
    /// # Ok::<(), lucid::Error>(())
    /// ```
    pub fn sum<const I: usize>(&self) -> Tensor<'static, T, B, Owned, D::Smaller>
    where
        D: Drop<I>,
    {
        self.reduce::<I>(|lane| T::from_f64(lane.iter().map(|v| v.to_f64()).sum()))
    }

    /// Means along axis `I`, accumulated in f64. The mean of nothing is NaN.
    pub fn mean<const I: usize>(&self) -> Tensor<'static, T, B, Owned, D::Smaller>
    where
        D: Drop<I>,
    {
        self.reduce::<I>(|lane| T::from_f64(lane.iter().map(|v| v.to_f64()).sum::<f64>() / lane.len() as f64))
    }

    /// Largest values along axis `I`. NaN wins, so that it is not lost; the maximum of nothing is −∞.
    pub fn max<const I: usize>(&self) -> Tensor<'static, T, B, Owned, D::Smaller>
    where
        D: Drop<I>,
    {
        let larger = |m: f64, v: f64| if v.is_nan() || v > m { v } else { m };
        self.reduce::<I>(|lane| T::from_f64(lane.iter().map(|v| v.to_f64()).fold(f64::NEG_INFINITY, larger)))
    }

    /// Visits every lane along axis `I` in row-major order of the other axes: its values, and where they lie in a
    /// contiguous tensor of this shape.
    fn lanes<const I: usize>(&self, mut visit: impl FnMut(&mut [T], usize, usize))
    where
        D: Drop<I>,
    {
        let View { storage, offset, strides } = self.view().data;
        let values = B::slice(storage);
        let (sizes, flat) = (self.shape.sizes(), self.shape.strides());
        let (rest, lane_stride) = (without(sizes, I, 1), strides[I]);
        let (from, to) = (without(strides, I, 0), without(flat, I, 0));
        let mut lane = Vec::with_capacity(sizes[I]);
        for i in 0..rest[0] {
            for j in 0..rest[1] {
                let start = offset + i * from[0] + j * from[1];
                lane.clear();
                lane.extend((0..sizes[I]).map(|k| values[start + k * lane_stride]));
                visit(&mut lane, i * to[0] + j * to[1], flat[I]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Reference;
    use half::{bf16, f16};

    crate::dims! { X, Y, Z }

    fn cube() -> Act<Reference, (X, Y, Z)> {
        Act::from_vec((X(2), Y(3), Z(4)), (0..24).map(|i| i as f32).collect()).unwrap()
    }

    #[test]
    fn every_axis_reduces_to_the_rest() {
        let t = cube();
        assert_eq!(t.sum::<0>().values(), (0..12).map(|i| (2 * i + 12) as f32).collect::<Vec<_>>());
        assert_eq!(t.max::<1>().values(), [8., 9., 10., 11., 20., 21., 22., 23.]);
        assert_eq!(t.mean::<2>().shape, (X(2), Y(3)));
        assert_eq!(t.mean::<2>().values(), [1.5, 5.5, 9.5, 13.5, 17.5, 21.5]);
        let all: Act<Reference, ()> = t.sum::<0>().sum::<0>().sum::<0>();
        assert_eq!(all.values(), [276.]);
    }

    #[test]
    fn views_of_views_read_the_same_values_without_a_copy() {
        let t = cube();
        let part = t.slice::<1>(1..3).unwrap();
        let row = part.select::<0>(1).unwrap();
        assert_eq!(row.shape, (Y(2), Z(4)));
        assert_eq!(row.to_vec(), (16..24).map(|i| i as f32).collect::<Vec<_>>());
        assert!(std::ptr::eq(row.data.storage, &t.data), "the view is of the same buffer");
        let column = row.select::<1>(3).unwrap();
        assert_eq!(column.to_vec(), [19., 23.]);
        assert_eq!(column.sum::<0>().values(), [42.], "reductions follow strides");
        let back = column.unsqueeze::<Z, 1>();
        assert_eq!((back.shape, back.to_vec()), ((Y(2), Z(1)), vec![19., 23.]));
        assert_eq!(back.get([1, 0, 0]), Some(23.));
        assert_eq!(back.get([1, 1, 0]), None);
        assert!(t.select::<2>(4).is_err());
        assert!(t.select::<2>(usize::MAX).is_err());
    }

    #[test]
    fn lanes_can_be_changed_along_any_axis() {
        let reversed = cube().map_axis::<1>(|lane| lane.reverse());
        assert_eq!(reversed.select::<0>(0).unwrap().to_vec(), [8., 9., 10., 11., 4., 5., 6., 7., 0., 1., 2., 3.]);
        let rotated = cube().slice::<2>(0..2).unwrap().map_axis::<2>(|lane| lane.rotate_left(1));
        assert_eq!(rotated.values()[..4], [1., 0., 5., 4.]);
    }

    #[test]
    fn every_element_type_computes() {
        fn check<T: Element>()
        where
            Reference: Host<T>,
        {
            let values = (0..6).map(|i| T::from_f64(i as f64)).collect();
            let t = Tensor::<T, Reference, Owned, _>::from_vec((X(2), Y(3)), values).unwrap();
            let t = t.add(&t).unwrap().mul_scalar(0.5).add_scalar(1.0);
            let sums: Vec<f64> = t.sum::<1>().values().iter().map(|v| v.to_f64()).collect();
            assert_eq!(sums, [6., 15.]);
        }
        check::<f32>();
        check::<f64>();
        check::<f16>();
        check::<bf16>();
    }

    #[test]
    fn a_parallel_map_equals_the_plain_one_on_both_sides_of_the_gate() {
        for n in [PAR_MAP_MIN - 1, PAR_MAP_MIN, PAR_MAP_MIN + 1] {
            let t = Act::<Reference, _>::from_vec((X(n),), (0..n).map(|i| i as f32).collect()).unwrap();
            let plain = t.map(|v| v.sqrt() + 1.0);
            for threads in [1, 2, 3, 8] {
                assert!(t.par_map(threads, |v| v.sqrt() + 1.0).values() == plain.values());
            }
        }
    }

    #[test]
    fn the_empty_tensor_and_nan_are_no_special_case() {
        let empty = Act::<Reference, _>::from_vec((X(0), Y(3)), vec![]).unwrap();
        assert_eq!(empty.sum::<0>().values(), [0., 0., 0.]);
        assert_eq!(empty.max::<0>().values(), [f32::NEG_INFINITY; 3]);
        assert!(empty.sum::<1>().values().is_empty());
        let nan = Act::<Reference, _>::from_vec((X(3),), vec![1.0, f32::NAN, 2.0]).unwrap();
        assert!(nan.max::<0>().values()[0].is_nan());
    }

    #[test]
    fn shapes_describe_themselves() {
        assert_eq!(describe((X(7),)), "(X 7)");
        assert_eq!(describe((X(1), Y(2), Z(3))), "(X 1, Y 2, Z 3)");
        let error = Act::<Reference, _>::from_vec((X(2), Y(2)), vec![0.0; 3]).err().unwrap();
        assert_eq!(error.to_string(), "3 values do not fill the shape (X 2, Y 2)");
    }
}
