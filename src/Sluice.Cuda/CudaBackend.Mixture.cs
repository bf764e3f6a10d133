using Sluice.Backends;
using Sluice.Cuda.Memory;
using Sluice.Cuda.Operations;
using Sluice.Cuda.Profiling;

namespace Sluice.Cuda;

/// <content>The mixture of experts.</content>
public sealed unsafe partial class CudaBackend
{
    private CudaMatrix? _anticipated;

    /// <inheritdoc/>
    public void Route(Activation logits, bool normalise, Routing routing, int rows)
    {
        if (_profile?.Wants("route", RouteWork(logits, routing, rows)) != false)
            _experts.Route(_profile?.DrawLogits(On(logits)) ?? On(logits), normalise, On(routing), rows);
        ProfileChoice(logits, normalise, routing, rows);
    }

    /// <inheritdoc/>
    public void RouteBesideShared(Activation logits, bool normalise, Routing routing, SharedExpertActivations shared, Matrix down, int rows)
    {
        ArgumentNullException.ThrowIfNull(shared);
        CudaMatrix? ahead = _anticipated;
        _anticipated = null;
        if (!MixtureOfExperts.CanRouteBesideShared(rows, On(shared.GateUp)))
        {
            IBackend.InTurn(this, logits, normalise, routing, shared, down, rows);
            return;
        }

        OperationWork work = OperationWork.Linear(rows, On(down)) + RouteWork(logits, routing, rows) + OperationWork.Rows(rows, 3 * shared.Inner.Width);
        if (_profile?.Wants("route, shared expert", work) != false)
        {
            _experts.RouteBesideShared(
                _profile?.DrawLogits(On(logits)) ?? On(logits), normalise, On(routing), On(shared.GateUp), On(down), On(shared.Result), ahead, rows);
        }

        ProfileChoice(logits, normalise, routing, rows);
    }

    /// <inheritdoc/>
    public void Anticipate(Matrix weight) => _anticipated = On(weight);

    /// <inheritdoc/>
    public void Experts(Activation x, Routing routing, ExpertWeights experts, Activation y, int rows) =>
        RunExperts(x, routing, experts, null, null, y, rows);

    /// <inheritdoc/>
    public void Experts(Activation x, Routing routing, ExpertWeights experts, Activation shared, Activation sharedGate, Activation y, int rows)
    {
        if (!On(sharedGate).IsFloat)
        {
            Experts(x, routing, experts, y, rows);
            AddGated(shared, sharedGate, y, rows);
            return;
        }

        RunExperts(x, routing, experts, On(shared), On(sharedGate), y, rows);
    }

    /// <inheritdoc/>
    public void AddGated(Activation x, Activation gate, Activation y, int rows)
    {
        if (_profile?.Wants("add shared", OperationWork.Rows(rows, 3 * y.Width)) != false)
            _rows.AddGated(On(x), On(gate), On(y), rows);
    }

    private void ProfileChoice(Activation logits, bool normalise, Routing routing, int rows)
    {
        if (_profile?.WantsPiece("(the choice of experts alone)", RouteWork(logits, routing, rows)) == true)
            _experts.Choose(_profile.DrawLogits(On(logits)), normalise, On(routing), rows);
    }

    // When only another operation is timed, their sum is owed all the same, so that what adds it can be.
    private void RunExperts(
        Activation x, Routing routing, ExpertWeights experts, CudaActivation? shared, CudaActivation? sharedGate, Activation y, int rows)
    {
        bool runs = _profile?.Wants("experts", OperationWork.Experts(rows, routing.TopK, On(experts))) != false;
        _experts.Experts(On(x), On(routing), On(experts), shared, sharedGate, On(y), rows, runs);
    }

    private void AddExperts(MixtureOfExperts.ExpertsSum sum, Activation residual, Vector? weight, float epsilon, Activation? y)
    {
        // The experts' results count with the experts.
        int halves = (sum.Hidden * (y is null ? 1 : 2)) + (2 * InHalves(residual));
        if (_profile?.Wants("experts' sum + norm", OperationWork.Rows(sum.Rows, halves)) != false)
            _experts.AddNorm(sum, On(residual), weight is null ? null : On(weight), epsilon, y is null ? null : On(y));
    }

    private static OperationWork RouteWork(Activation logits, Routing routing, int rows) =>
        OperationWork.Rows(rows, (2 * logits.Width) + (4 * routing.TopK));
}
