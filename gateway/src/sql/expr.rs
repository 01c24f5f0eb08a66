//! Expressions by allow-list: comparisons of equal kinds, logic, and the aggregates that come out the same. Pure.

use datafusion::{
    common::ScalarValue,
    sql::sqlparser::ast::{
        BinaryOperator, CaseWhen, DataType, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr,
        FunctionArgumentList, FunctionArguments, Ident, ObjectName, UnaryOperator,
    },
};

use super::{
    ast::{is_number, is_random, kind_named, kind_of, last, one_of, sampled, string, truth, unknown},
    literal,
    rewriter::{Rewriter, Side},
    scope::Scope,
};
use crate::{data::columns::Kind, fault::Fault};

type Typed = (Expr, Kind);

impl Rewriter<'_> {
    /// Of whatever kind.
    pub fn any(&mut self, expr: Expr, scope: &Scope<'_>) -> Result<Typed, Fault> {
        match self.side(expr, scope)? {
            Side::Typed(expr, kind) => Ok((expr, kind)),
            Side::Said(text) => Ok((self.value(Kind::Text, text)?, Kind::Text)),
        }
    }

    pub fn typed(&mut self, expr: Expr, wanted: Kind, scope: &Scope<'_>) -> Result<Expr, Fault> {
        match self.side(expr, scope)? {
            Side::Typed(expr, kind) if kind == wanted => Ok(expr),
            Side::Typed(expr, kind) => Err(Fault::new(
                "42804",
                format!("{expr} is of type {}, and {} was expected", kind.name(), wanted.name()),
            )),
            Side::Said(text) => self.value(wanted, text),
        }
    }

    fn side(&mut self, expr: Expr, scope: &Scope<'_>) -> Result<Side, Fault> {
        let truth = |expr| Ok(Side::Typed(expr, Kind::Bool));
        match expr {
            Expr::Nested(inner) => Ok(match self.side(*inner, scope)? {
                Side::Typed(inner, kind) => Side::Typed(Expr::Nested(Box::new(inner)), kind),
                said => said,
            }),
            Expr::Identifier(column) => {
                let kind = scope.kind_of(std::slice::from_ref(&column))?.1;
                Ok(Side::Typed(Expr::Identifier(column), kind))
            }
            Expr::CompoundIdentifier(parts) => {
                let kind = scope.kind_of(&parts)?.1;
                Ok(Side::Typed(Expr::CompoundIdentifier(parts), kind))
            }
            Expr::Value(value) => self.literal(value),
            Expr::TypedString(typed) => {
                let said = Expr::Value(typed.value);
                self.cast(said, &typed.data_type, scope)
            }
            Expr::Cast { expr, data_type, format: None, .. } => self.cast(*expr, &data_type, scope),
            Expr::BinaryOp { left, op, right } => self.binary(*left, op, *right, scope),
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => {
                let expr = Box::new(self.typed(*expr, Kind::Bool, scope)?);
                truth(Expr::UnaryOp { op: UnaryOperator::Not, expr })
            }
            Expr::UnaryOp { op: UnaryOperator::Minus, expr } if is_number(&expr) => {
                Ok(Side::Typed(Expr::UnaryOp { op: UnaryOperator::Minus, expr }, Kind::Number))
            }
            Expr::IsNull(of) => truth(Expr::IsNull(Box::new(self.any(*of, scope)?.0))),
            Expr::IsNotNull(of) => truth(Expr::IsNotNull(Box::new(self.any(*of, scope)?.0))),
            Expr::IsTrue(of) => truth(Expr::IsTrue(Box::new(self.typed(*of, Kind::Bool, scope)?))),
            Expr::IsNotTrue(of) => truth(Expr::IsNotTrue(Box::new(self.typed(*of, Kind::Bool, scope)?))),
            Expr::IsFalse(of) => truth(Expr::IsFalse(Box::new(self.typed(*of, Kind::Bool, scope)?))),
            Expr::IsNotFalse(of) => truth(Expr::IsNotFalse(Box::new(self.typed(*of, Kind::Bool, scope)?))),
            Expr::IsUnknown(of) => truth(Expr::IsUnknown(Box::new(self.typed(*of, Kind::Bool, scope)?))),
            Expr::IsNotUnknown(of) => truth(Expr::IsNotUnknown(Box::new(self.typed(*of, Kind::Bool, scope)?))),
            Expr::IsDistinctFrom(left, right) => {
                let (left, right, _) = self.pair(*left, *right, scope)?;
                truth(Expr::IsDistinctFrom(Box::new(left), Box::new(right)))
            }
            Expr::IsNotDistinctFrom(left, right) => {
                let (left, right, _) = self.pair(*left, *right, scope)?;
                truth(Expr::IsNotDistinctFrom(Box::new(left), Box::new(right)))
            }
            Expr::Between { expr, negated, low, high } => {
                let (expr, kind) = self.any(*expr, scope)?;
                let low = Box::new(self.typed(*low, kind, scope)?);
                let high = Box::new(self.typed(*high, kind, scope)?);
                truth(Expr::Between { expr: Box::new(expr), negated, low, high })
            }
            Expr::InList { expr, list, negated } => {
                let (expr, kind) = self.any(*expr, scope)?;
                let list = list.into_iter().map(|one| self.typed(one, kind, scope)).collect::<Result<Vec<_>, _>>()?;
                truth(one_of(expr, list, negated))
            }
            Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, .. } => {
                truth(self.one_of_array(*left, *right, false, scope)?)
            }
            Expr::AllOp { left, compare_op: BinaryOperator::NotEq, right } => {
                truth(self.one_of_array(*left, *right, true, scope)?)
            }
            Expr::Like { negated, any: false, expr, pattern, escape_char: None } => {
                truth(self.like(*expr, *pattern, negated, scope)?)
            }
            Expr::Exists { mut subquery, negated } => {
                self.query(&mut subquery, Some(scope))?;
                truth(Expr::Exists { subquery, negated })
            }
            Expr::InSubquery { expr, mut subquery, negated } => {
                let outputs = self.query(&mut subquery, Some(scope))?;
                let [(_, kind)] = outputs.as_slice() else {
                    return Err(Fault::syntax("a subquery after IN gives one column"));
                };
                let expr = Box::new(self.typed(*expr, *kind, scope)?);
                truth(Expr::InSubquery { expr, subquery, negated })
            }
            Expr::Case { case_token, end_token, operand: None, conditions, else_result } => {
                let (conditions, else_result, kind) = self.case(conditions, else_result, scope)?;
                Ok(Side::Typed(Expr::Case { case_token, end_token, operand: None, conditions, else_result }, kind))
            }
            Expr::Function(function) => self.function(function, scope),
            other => Err(unknown(&other)),
        }
    }

    fn cast(&mut self, expr: Expr, to: &DataType, scope: &Scope<'_>) -> Result<Side, Fault> {
        let kind = kind_of(to).ok_or_else(|| Fault::unsupported(format!("type {to}")))?;
        match self.side(expr, scope)? {
            Side::Said(text) => Ok(Side::Typed(self.value(kind, text)?, kind)),
            Side::Typed(expr, from) if from == kind || (from, kind) == (Kind::Uuid, Kind::Text) => {
                Ok(Side::Typed(expr, kind))
            }
            Side::Typed(_, from) => Err(Fault::unsupported(format!("a cast from {} to {to}", from.name()))),
        }
    }

    fn binary(&mut self, left: Expr, op: BinaryOperator, right: Expr, scope: &Scope<'_>) -> Result<Side, Fault> {
        use BinaryOperator::{And, Eq, Gt, GtEq, Lt, LtEq, NotEq, Or, PGLikeMatch, PGNotLikeMatch};
        let (left, right) = match op {
            And | Or => (self.typed(left, Kind::Bool, scope)?, self.typed(right, Kind::Bool, scope)?),
            Lt if is_random(&left) => {
                let table = scope.first().ok_or_else(|| unknown(&left))?;
                let share = right.to_string().trim_matches(['(', ')', '\'']).parse::<f64>();
                let share = share.map_err(|_| Fault::unsupported("random() but for a sample"))?;
                return Ok(Side::Typed(sampled(table, share)?, Kind::Bool));
            }
            Eq | NotEq | Lt | LtEq | Gt | GtEq => {
                let (left, right, _) = self.pair(left, right, scope)?;
                (left, right)
            }
            PGLikeMatch | PGNotLikeMatch => {
                let like = self.like(left, right, op == PGNotLikeMatch, scope)?;
                return Ok(Side::Typed(like, Kind::Bool));
            }
            op => return Err(Fault::unsupported(format!("operator {op}"))),
        };
        Ok(Side::Typed(Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }, Kind::Bool))
    }

    /// Two of one kind.
    fn pair(&mut self, left: Expr, right: Expr, scope: &Scope<'_>) -> Result<(Expr, Expr, Kind), Fault> {
        match (self.side(left, scope)?, self.side(right, scope)?) {
            (Side::Typed(left, one), Side::Typed(right, other)) if one == other => Ok((left, right, one)),
            (Side::Typed(left, one), Side::Typed(right, other)) => Err(Fault::new(
                "42883",
                format!("{left} of type {} is not compared with {right} of type {}", one.name(), other.name()),
            )),
            (Side::Typed(left, kind), Side::Said(text)) => Ok((left, self.value(kind, text)?, kind)),
            (Side::Said(text), Side::Typed(right, kind)) => Ok((self.value(kind, text)?, right, kind)),
            (Side::Said(left), Side::Said(right)) => {
                Ok((self.value(Kind::Text, left)?, self.value(Kind::Text, right)?, Kind::Text))
            }
        }
    }

    /// `= ANY` and `<> ALL` of an array.
    fn one_of_array(&mut self, left: Expr, right: Expr, negated: bool, scope: &Scope<'_>) -> Result<Expr, Fault> {
        let (left, kind) = self.any(left, scope)?;
        let mut array = right;
        while let Expr::Nested(inner) = array {
            array = *inner;
        }
        if let Expr::Cast { expr, data_type, .. } = array {
            let of = data_type.to_string();
            if of.strip_suffix("[]").and_then(kind_named) != Some(kind) {
                return Err(Fault::unsupported(format!("{} in {data_type}", kind.name())));
            }
            array = *expr;
        }
        let list = match array {
            Expr::Array(array) => {
                array.elem.into_iter().map(|one| self.typed(one, kind, scope)).collect::<Result<Vec<_>, _>>()?
            }
            other => match self.side(other, scope)? {
                Side::Said(Some(text)) => {
                    let elements = literal::array(&text)?;
                    elements.into_iter().map(|one| self.value(kind, one)).collect::<Result<Vec<_>, _>>()?
                }
                Side::Said(None) => return Ok(self.bind(ScalarValue::Boolean(None))),
                Side::Typed(other, _) => return Err(unknown(&other)),
            },
        };
        Ok(one_of(left, list, negated))
    }

    fn like(&mut self, text: Expr, pattern: Expr, negated: bool, scope: &Scope<'_>) -> Result<Expr, Fault> {
        let text = Box::new(self.typed(text, Kind::Text, scope)?);
        let Side::Said(Some(pattern)) = self.side(pattern, scope)? else {
            return Err(Fault::unsupported("LIKE with a pattern that is not written out"));
        };
        let mut letters = pattern.chars();
        while let Some(letter) = letters.next() {
            if letter == '\\' && !matches!(letters.next(), Some('%' | '_' | '\\')) {
                return Err(Fault::unsupported("LIKE with a backslash before anything but %, _ and another"));
            }
        }
        let pattern = Box::new(string(pattern));
        Ok(Expr::Like { negated, any: false, expr: text, pattern, escape_char: None })
    }

    #[allow(clippy::type_complexity, reason = "the parts of a CASE, as the parser has them")]
    fn case(
        &mut self,
        conditions: Vec<CaseWhen>,
        otherwise: Option<Box<Expr>>,
        scope: &Scope<'_>,
    ) -> Result<(Vec<CaseWhen>, Option<Box<Expr>>, Kind), Fault> {
        let mut kind = None;
        let mut result = |this: &mut Self, expr: Expr| -> Result<Expr, Fault> {
            match kind {
                Some(kind) => this.typed(expr, kind, scope),
                None => {
                    let (expr, found) = this.any(expr, scope)?;
                    kind = Some(found);
                    Ok(expr)
                }
            }
        };
        let mut cases = Vec::with_capacity(conditions.len());
        for CaseWhen { condition, result: then } in conditions {
            let condition = self.typed(condition, Kind::Bool, scope)?;
            cases.push(CaseWhen { condition, result: result(self, then)? });
        }
        let otherwise = otherwise.map(|expr| result(self, *expr)).transpose()?.map(Box::new);
        let kind = kind.ok_or_else(|| Fault::syntax("CASE without WHEN"))?;
        Ok((cases, otherwise, kind))
    }

    fn function(&mut self, mut function: Function, scope: &Scope<'_>) -> Result<Side, Fault> {
        let called = last(&function.name).unwrap_or_default();
        let plain = function.over.is_none() && function.within_group.is_empty() && function.null_treatment.is_none();
        let FunctionArguments::List(FunctionArgumentList { duplicate_treatment, args, clauses }) = &mut function.args
        else {
            return Err(Fault::unsupported(format!("{called}()")));
        };
        if !plain || !clauses.is_empty() {
            return Err(Fault::unsupported(format!("{called}() with OVER, ORDER BY or WITHIN GROUP")));
        }
        let distinct = matches!(duplicate_treatment, Some(DuplicateTreatment::Distinct));
        let of = match args.as_mut_slice() {
            [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)] => None,
            [FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))] => {
                let (expr, kind) = self.any(std::mem::replace(arg, truth(true)), scope)?;
                *arg = expr;
                Some(kind)
            }
            _ => return Err(Fault::unsupported(format!("{called}()"))),
        };
        let kind = match (called.as_str(), of, distinct) {
            ("count", _, _) => Kind::Number,
            ("min" | "max", Some(kind @ (Kind::Uuid | Kind::Moment | Kind::Text | Kind::Number)), _) => kind,
            ("sum", Some(Kind::Number), false) => Kind::Number,
            ("bool_and" | "bool_or" | "every", Some(Kind::Bool), _) => Kind::Bool,
            (_, Some(kind), _) => return Err(Fault::unsupported(format!("{called}({})", kind.name()))),
            (_, None, _) => return Err(Fault::unsupported(format!("{called}(*)"))),
        };
        let engine = if called == "every" { "bool_and" } else { called.as_str() };
        function.name = ObjectName::from(vec![Ident::new(engine)]);
        if let Some(filter) = function.filter.take() {
            function.filter = Some(Box::new(self.typed(*filter, Kind::Bool, scope)?));
        }
        Ok(Side::Typed(Expr::Function(function), kind))
    }
}
